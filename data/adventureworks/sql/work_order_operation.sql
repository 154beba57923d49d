select WorkOrderID as order_id,
       OperationSequence as operation_id,
       ProductID as item_id,
       LocationID as work_centre_id,
       ActualResourceHrs as booked_hours,
       PlannedCost as planned_cost_amt,
       ActualCost as actual_cost_amt,
       ActualStartDate as actual_start_date,
       ScheduledEndDate as scheduled_end_date,
       ActualEndDate as actual_end_date
from WorkOrderRouting
