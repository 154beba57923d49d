"""The monthly S&OP cycle as an Airflow DAG: one task per step, run by the papermill operator.

Airflow and the workbench live in environments of their own. The kernel named below is the workbench's:
`/opt/sop-workbench/.venv/bin/python -m ipykernel install --name sop-workbench`. Each task runs `run_step.ipynb`, which runs the chain up
to its step: steps that are done and unchanged are skipped, a cycle is never run twice at once, and `sop status` tells the same as Airflow.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.papermill.operators.papermill import PapermillOperator
from airflow.sdk import DAG

WORKSPACE = "/srv/sop"
EXAMPLE = "/opt/sop-workbench/docs/examples/airflow"
STEPS = (
    "00_data_gathering", "01_product_review", "02_demand_review", "03_supply_review", "04_financial_review", "05_pre_sop",
    "06_executive_sop", "07_execution_monitoring",
)

with DAG(
    dag_id="sop_cycle",
    description="S&OP: data gathering to executive review",
    schedule="0 6 * * 1-5",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(minutes=10)},
    tags=["planning"],
) as dag:
    before = None
    for step in STEPS:
        task = PapermillOperator(
            task_id=step,
            input_nb=f"{EXAMPLE}/run_step.ipynb",
            output_nb=f"{WORKSPACE}/airflow/{{{{ ds }}}}_{step}.ipynb",
            parameters={"workspace": WORKSPACE, "cycle_id": "{{ logical_date.strftime('%Y-%m') }}", "step": step},
            kernel_name="sop-workbench",
            language_name="python",
        )
        if before is not None:
            before >> task
        before = task
