"""Master data of the invented company Varnholt: families, items, plants, markets, bills of material, routings.

Everything here is written down, not drawn: what the company is. What happened to it is drawn in `history.py`
and `planning.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

FIRST_MONTH = pd.Timestamp("2021-10-01")
NEWEST_CYCLE = pd.Timestamp("2026-10-01")
EXTRACT_DATE = pd.Timestamp("2026-09-30")
HISTORY_MONTHS = 60
MONTHS = pd.date_range(FIRST_MONTH, periods=90, freq="MS")  # 60 past and 30 future months
CAPACITY_MONTHS = pd.date_range("2025-10-01", "2028-06-01", freq="MS")


@dataclass(frozen=True)
class Family:
    """One product family: what it sells, when and where it is made."""

    code: str
    name: str
    category: str
    plant: str
    monthly_units: float
    growth_per_year: float
    margin: float
    season: tuple[float, ...]  # January to December
    storage_qty: float  # pallet places of one unit


FAMILIES = (
    Family("GG", "Gas Grills", "Grilling", "P1", 3400, 0.05, 0.40,
           (0.58, 0.80, 1.30, 1.62, 1.60, 1.35, 1.02, 0.80, 0.68, 0.66, 0.80, 0.79), 0.30),
    Family("CG", "Charcoal Grills", "Grilling", "P1", 4600, 0.01, 0.38,
           (0.50, 0.74, 1.26, 1.60, 1.66, 1.46, 1.20, 0.88, 0.70, 0.60, 0.66, 0.74), 0.07),
    Family("ST", "Camp Stoves", "Camp Kitchen", "P2", 6800, 0.03, 0.39,
           (0.60, 0.72, 1.00, 1.28, 1.46, 1.50, 1.34, 1.02, 0.86, 0.70, 0.70, 0.82), 0.012),
    Family("CW", "Cookware", "Camp Kitchen", "P3", 11500, 0.02, 0.37,
           (0.82, 0.80, 0.86, 0.90, 0.92, 0.88, 0.84, 0.86, 1.00, 1.14, 1.52, 1.46), 0.008),
    Family("HT", "Patio Heaters", "Outdoor Living", "P2", 1500, 0.06, 0.38,
           (0.96, 0.72, 0.70, 0.66, 0.56, 0.52, 0.62, 1.02, 1.50, 1.76, 1.62, 1.36), 0.12),
    Family("CO", "Coolers", "Outdoor Living", "P3", 3600, 0.03, 0.37,
           (0.54, 0.64, 0.86, 1.14, 1.48, 1.76, 1.66, 1.28, 0.84, 0.62, 0.56, 0.62), 0.06),
)
FAMILY = {family.code: family for family in FAMILIES}

MARKETS = pd.DataFrame(
    [
        ("N-RET", "North retail chains", "North", "Retail", "key account", 1, 0.95, True, 0.19),
        ("N-ONL", "North online", "North", "Online", "consumer", 2, 0.0, False, 0.11),
        ("N-PRO", "North hospitality", "North", "Professional", "hospitality", 3, 0.0, False, 0.05),
        ("W-RET", "West retail chains", "West", "Retail", "key account", 1, 0.90, True, 0.20),
        ("W-ONL", "West online", "West", "Online", "consumer", 2, 0.0, False, 0.13),
        ("W-PRO", "West hospitality", "West", "Professional", "hospitality", 3, 0.0, False, 0.05),
        ("S-RET", "South retail", "South", "Retail", "independent", 2, 0.0, False, 0.11),
        ("S-ONL", "South online", "South", "Online", "consumer", 3, 0.0, False, 0.06),
        ("E-RET", "East retail", "East", "Retail", "distributor", 3, 0.0, True, 0.07),
        ("E-ONL", "East online", "East", "Online", "consumer", 3, 0.0, False, 0.03),
    ],
    columns=["market_id", "market_name", "region", "channel", "segment", "priority", "min_fill_ratio", "is_strategic", "share"],
)
MARKET_IDS = tuple(MARKETS["market_id"])
WAREHOUSE_OF_REGION = {"North": "W1", "East": "W1", "West": "W2", "South": "W2"}
CHANNEL_PRICE = {"Retail": 0.97, "Online": 1.06, "Professional": 1.01}
REGION_PRICE = {"North": 1.00, "West": 1.02, "South": 0.97, "East": 0.95}
WIDE = MARKET_IDS
BROAD = ("N-RET", "N-ONL", "W-RET", "W-ONL", "S-RET", "E-RET")
RETAIL = ("N-RET", "W-RET", "S-RET", "E-RET")
ONLINE = ("N-ONL", "W-ONL", "S-ONL", "E-ONL")
TRADE = ("N-PRO", "W-PRO")
NICHE = ("N-ONL", "W-ONL")

LOCATIONS = pd.DataFrame(
    [
        ("P1", "Plant Celle (grills)", "plant", "North", 320),
        ("P2", "Plant Brno (stoves and heaters)", "plant", "East", 420),
        ("P3", "Plant Viseu (cookware and coolers)", "plant", "South", 480),
        ("W1", "Warehouse Hanover", "warehouse", "North", 760),
        ("W2", "Warehouse Lyon", "warehouse", "West", 880),
    ],
    columns=["location_id", "location_name", "location_type", "region", "storage_limit_qty"],
)

# Resource, name, plant, cost of an hour, mean load of a normal year, most overtime as a share of regular hours,
# and how far the working day follows the season (0 never, 1 wholly).
RESOURCES = pd.DataFrame(
    [
        ("PRESS1", "Press shop Celle", "P1", 44.0, 0.78, 0.20, 0.60),
        ("WELD1", "Welding cell Celle", "P1", 41.0, 0.76, 0.20, 0.60),
        ("COAT1", "Enamel and powder line Celle", "P1", 46.0, 0.80, 0.15, 0.60),
        ("ASMG1", "Gas grill assembly Celle", "P1", 33.0, 1.06, 0.10, 0.35),
        ("ASMC1", "Charcoal grill assembly Celle", "P1", 32.0, 0.78, 0.20, 0.60),
        ("PRESS2", "Press shop Brno", "P2", 31.0, 0.70, 0.20, 0.30),
        ("BURN2", "Burner cell Brno", "P2", 30.0, 0.80, 0.15, 0.50),
        ("ASMS2", "Stove assembly Brno", "P2", 24.0, 0.78, 0.25, 0.60),
        ("ASMH2", "Heater assembly Brno", "P2", 25.0, 0.76, 0.25, 0.60),
        ("CAST3", "Foundry Viseu", "P3", 38.0, 0.76, 0.15, 0.45),
        ("MOLD3", "Rotational moulding Viseu", "P3", 35.0, 0.74, 0.20, 0.65),
        ("FIN3", "Finishing and packing Viseu", "P3", 22.0, 0.76, 0.25, 0.50),
    ],
    columns=["resource_id", "resource_name", "location_id", "regular_cost_amt_per_hour", "mean_load", "overtime_share", "flexibility"],
)
# Hours against the normal crew from a month on: the agency crew left in September 2026, a new one is trained by August 2027.
CREW_CHANGES = {"ASMG1": (("2025-10-01", 1.16), ("2026-10-01", 1.0), ("2027-08-01", 1.2))}
SHUTDOWN_DAYS = {("P1", 8): 4, ("P2", 7): 4, ("P3", 8): 5, ("P1", 12): 3, ("P2", 12): 3, ("P3", 12): 3}

# Finished items: number, name, size, weight in the family, markets, month-to-month noise, further parts.
# A noise of None means lumpy demand: few large orders.
_FINISHED = {
    "GG": [
        ("101", "Gas grill Elbe 2", "S", 0.95, WIDE, 0.09, ()),
        ("102", "Gas grill Elbe 3", "M", 1.10, WIDE, 0.08, ()),
        ("103", "Gas grill Elbe 4", "L", 0.70, BROAD, 0.12, ()),
        ("104", "Gas grill Weser 3 side burner", "M", 0.60, BROAD, 0.12, (("Burner tube", 1), ("Knob", 1), ("Side shelf", 1))),
        ("105", "Gas grill Weser 4 side burner", "L", 0.45, BROAD, 0.15, (("Burner tube", 1), ("Knob", 1), ("Side shelf", 1))),
        ("106", "Gas grill Aller tabletop", "S", 0.30, ONLINE, 0.22, ()),
        ("107", "Gas grill Chef 4 steel", "L", 0.20, TRADE, 0.30, (("Side shelf", 2),)),
        ("108", "Gas grill Chef plancha", "M", 0.09, TRADE, None, ()),
        ("109", "Gas grill Elbe 2 red", "S", 0.07, NICHE, 0.45, ()),
        ("110", "Gas grill Elbe 4 Smart", "L", 0.75, BROAD, 0.12, (("Battery igniter", 1), ("Side shelf", 1))),
    ],
    "CG": [
        ("101", "Kettle grill Harz 57", "M", 1.20, WIDE, 0.10, ()),
        ("102", "Kettle grill Harz 47", "S", 0.80, BROAD, 0.12, ()),
        ("103", "Kettle grill Harz 57 red", "M", 0.55, BROAD, 0.15, ()),
        ("104", "Kettle grill Harz 67", "L", 0.40, BROAD, 0.16, ()),
        ("105", "Kettle grill Deister 57 cart", "M", 0.35, RETAIL, 0.20, (("Side shelf", 1), ("Wheel 200", 2))),
        ("106", "Kettle grill Heath 47 green", "S", 0.20, NICHE, 0.35, ()),
        ("107", "Kettle grill Chef 67", "L", 0.10, TRADE, None, (("Side shelf", 1),)),
        ("108", "Party grill Solling 67", "L", 0.06, TRADE, None, ()),
        ("109", "Kettle grill Jubilee 57", "M", 0.04, ("N-RET",), None, ()),
        ("110", "Kettle grill Harz 47 II", "S", 0.85, BROAD, 0.12, (("Thermometer", 1),)),
    ],
    "ST": [
        ("101", "Camp stove Trail 1", "A", 1.20, WIDE, 0.10, ()),
        ("102", "Camp stove Trail 2", "B", 1.00, WIDE, 0.11, ()),
        ("103", "Backpack stove Feather", "C", 0.80, BROAD, 0.14, ()),
        ("104", "Camp stove Base 2 grill plate", "B", 0.45, BROAD, 0.18, (("Pot support set", 1),)),
        ("105", "Backpack stove Feather Wind", "C", 0.40, ONLINE, 0.25, (("Wind mesh", 1),)),
        ("106", "Camp stove Trail 1 cartridge", "A", 0.30, RETAIL, 0.25, ()),
        ("107", "Expedition stove Multi", "C", 0.10, NICHE, None, (("Wind mesh", 1), ("Carry pouch", 1))),
        ("108", "Camp stove Scout 1", "A", 0.09, ("S-RET", "S-ONL"), 0.50, ()),
        ("109", "Field kitchen burner Duo", "B", 0.04, TRADE, None, ()),
        ("110", "Camp stove Trail 2 Ultra", "B", 0.40, BROAD, 0.20, (("Wind mesh", 1),)),
    ],
    "CW": [
        ("101", "Dutch oven 28", "C28", 1.00, WIDE, 0.10, ()),
        ("102", "Dutch oven 32", "C32", 0.70, BROAD, 0.12, ()),
        ("103", "Iron pan 20 classic", "C20", 0.35, RETAIL, 0.20, ()),
        ("104", "Iron pan 24", "C24", 0.90, WIDE, 0.10, ()),
        ("105", "Camp pan 24 non-stick", "A24", 0.75, BROAD, 0.14, ()),
        ("106", "Camp pan 28 non-stick", "A28", 0.55, BROAD, 0.15, ()),
        ("107", "Iron pan 28 wood handle", "C28", 0.35, ONLINE, 0.22, (("Wood handle set", 1),)),
        ("108", "Iron griddle 32", "C32", 0.22, RETAIL, 0.25, ()),
        ("109", "Pan set camp 24 + 28", "A28", 0.15, NICHE, 0.35, (("Pressed body 24", 1),)),
        ("110", "Dutch oven 28 trade", "C28", 0.07, TRADE, None, ()),
        ("111", "Waffle iron 20", "C20", 0.05, ("E-RET", "S-RET"), None, ()),
        ("112", "Iron wok 32", "C32", 0.35, ONLINE, 0.25, ()),
    ],
    "HT": [
        ("101", "Patio heater Column 12", "1", 1.00, WIDE, 0.12, ()),
        ("102", "Patio heater Column 14", "1", 0.70, BROAD, 0.14, ()),
        ("103", "Patio heater Pyramid", "2", 0.55, BROAD, 0.16, (("Glass tube", 1),)),
        ("104", "Patio heater Chef", "2", 0.30, TRADE, 0.28, ()),
        ("105", "Patio heater Table", "1", 0.25, ONLINE, 0.30, ()),
        ("106", "Patio heater Terrace XL", "2", 0.10, TRADE, None, ()),
        ("107", "Patio heater Column 12 sand", "1", 0.08, ("S-RET",), 0.50, ()),
        ("108", "Patio heater Pyramid Mini", "2", 0.45, BROAD, 0.18, (("Glass tube", 1),)),
    ],
    "CO": [
        ("101", "Cooler 20 classic", "20", 0.55, RETAIL, 0.15, ()),
        ("102", "Cooler 20", "20", 0.90, WIDE, 0.11, ()),
        ("103", "Cooler 35", "35", 1.00, WIDE, 0.11, ()),
        ("104", "Cooler 50 wheels", "50", 0.60, BROAD, 0.14, (("Wheel 150", 2),)),
        ("105", "Cooler 35 sand", "35", 0.35, ONLINE, 0.22, ()),
        ("106", "Cooler 35 electric", "35", 0.25, BROAD, 0.20, (("Compressor unit", 1), ("Control board", 1))),
        ("107", "Cooler 50 electric", "50", 0.15, NICHE, 0.28, (("Compressor unit", 1), ("Control board", 1))),
        ("108", "Cooler 50 catering", "50", 0.08, TRADE, None, ()),
        ("109", "Cooler 20 junior", "20", 0.06, ("W-ONL",), 0.60, ()),
        ("110", "Ice box 50 fishing", "50", 0.04, ("E-RET", "N-ONL"), None, ()),
    ],
}
# item: (launch date, phase-out date, successor, like-item)
LIFECYCLE = {
    "HT-108": ("2025-09-01", None, None, "HT-103"),
    "CW-112": ("2025-11-01", None, None, "CW-107"),
    "ST-110": ("2026-06-01", None, None, "ST-104"),
    "CG-110": ("2026-04-01", None, None, "CG-102"),
    "GG-110": ("2027-02-01", None, None, "GG-105"),
    "CG-102": (None, "2026-12-31", "CG-110", None),
    "CO-101": (None, "2027-03-31", None, None),
    "CW-103": (None, "2026-03-31", None, None),
}

# Components made in own plants: number, name, plant, {part: quantity}, {resource: hours}, part weight in storage.
_MADE = [
    ("C-101", "Firebox S", {"Steel sheet 1.0": 4.0, "Enamel black": 0.30, "Heat shield": 1}, {"PRESS1": 0.050, "COAT1": 0.040}),
    ("C-102", "Firebox M", {"Steel sheet 1.0": 5.5, "Enamel black": 0.40, "Heat shield": 1}, {"PRESS1": 0.060, "COAT1": 0.045}),
    ("C-103", "Firebox L", {"Steel sheet 1.0": 7.5, "Enamel black": 0.50, "Heat shield": 2}, {"PRESS1": 0.075, "COAT1": 0.055}),
    ("C-104", "Lid S", {"Steel sheet 0.8": 3.0, "Enamel black": 0.25, "Thermometer": 1, "Lid handle": 1},
     {"PRESS1": 0.040, "COAT1": 0.030}),
    ("C-105", "Lid M", {"Steel sheet 0.8": 4.0, "Enamel black": 0.30, "Thermometer": 1, "Lid handle": 1},
     {"PRESS1": 0.045, "COAT1": 0.035}),
    ("C-106", "Lid L", {"Steel sheet 0.8": 5.2, "Enamel black": 0.40, "Thermometer": 1, "Lid handle": 1},
     {"PRESS1": 0.055, "COAT1": 0.040}),
    ("C-107", "Burner tube", {"Stainless sheet 1.0": 0.35, "Venturi": 1}, {"BURN2": 0.035}),
    ("C-108", "Cart S", {"Steel tube 25": 5.0, "Steel sheet 1.0": 2.0, "Powder black": 0.25, "Wheel 150": 2},
     {"WELD1": 0.090, "COAT1": 0.035}),
    ("C-109", "Cart L", {"Steel tube 25": 7.0, "Steel sheet 1.0": 3.5, "Powder silver": 0.35, "Castor": 4},
     {"WELD1": 0.130, "COAT1": 0.045}),
    ("C-111", "Bowl 47", {"Steel sheet 0.8": 2.4, "Enamel black": 0.25}, {"PRESS1": 0.030, "COAT1": 0.040}),
    ("C-112", "Bowl 57", {"Steel sheet 0.8": 3.3, "Enamel black": 0.32}, {"PRESS1": 0.034, "COAT1": 0.045}),
    ("C-113", "Bowl 67", {"Steel sheet 0.8": 4.4, "Enamel black": 0.42}, {"PRESS1": 0.040, "COAT1": 0.052}),
    ("C-114", "Kettle lid 47", {"Steel sheet 0.8": 2.0, "Enamel green": 0.22, "Vent disc": 1, "Lid handle": 1},
     {"PRESS1": 0.028, "COAT1": 0.038}),
    ("C-115", "Kettle lid 57", {"Steel sheet 0.8": 2.8, "Enamel red": 0.30, "Vent disc": 1, "Lid handle": 1},
     {"PRESS1": 0.032, "COAT1": 0.042}),
    ("C-116", "Kettle lid 67", {"Steel sheet 0.8": 3.8, "Enamel black": 0.38, "Vent disc": 2, "Lid handle": 1},
     {"PRESS1": 0.038, "COAT1": 0.050}),
    ("C-117", "Leg set", {"Steel tube 25": 2.1, "Powder black": 0.08, "Wheel 150": 2}, {"WELD1": 0.040}),
    ("C-118", "Ash catcher", {"Aluminium sheet": 0.40, "Wire rod": 0.15}, {"PRESS1": 0.015}),
    ("C-201", "Stove body A", {"Aluminium sheet": 0.55, "Powder black": 0.04}, {"PRESS2": 0.025}),
    ("C-202", "Stove body B", {"Aluminium sheet": 1.10, "Powder black": 0.07}, {"PRESS2": 0.040}),
    ("C-203", "Stove body C", {"Stainless sheet 0.5": 0.18, "Wire rod": 0.08}, {"PRESS2": 0.020}),
    ("C-204", "Burner head S", {"Brass rod": 0.12, "Stainless sheet 0.5": 0.06}, {"BURN2": 0.035}),
    ("C-205", "Burner head L", {"Brass rod": 0.20, "Stainless sheet 0.5": 0.10}, {"BURN2": 0.045}),
    ("C-206", "Heater column 1", {"Stainless tube 60": 1.6, "Rivet": 8}, {"PRESS2": 0.060}),
    ("C-207", "Heater column 2", {"Stainless sheet 1.0": 4.2, "Rivet": 16}, {"PRESS2": 0.100}),
    ("C-208", "Reflector", {"Aluminium sheet": 1.30, "Rivet": 6}, {"PRESS2": 0.040}),
    ("C-209", "Heater burner", {"Stainless sheet 0.5": 0.80, "Emitter mesh": 1, "Venturi": 1}, {"BURN2": 0.110}),
    ("C-210", "Heater base", {"Steel sheet 1.5": 6.0, "Powder silver": 0.30, "Wheel 150": 2}, {"PRESS2": 0.070}),
    ("C-301", "Cast body 20", {"Iron alloy": 1.5, "Moulding sand": 4.0}, {"CAST3": 0.045}),
    ("C-302", "Cast body 24", {"Iron alloy": 2.1, "Moulding sand": 5.0}, {"CAST3": 0.055}),
    ("C-303", "Cast body 28", {"Iron alloy": 3.4, "Moulding sand": 7.0}, {"CAST3": 0.070}),
    ("C-304", "Cast body 32", {"Iron alloy": 4.4, "Moulding sand": 9.0}, {"CAST3": 0.085}),
    ("C-305", "Cast lid S", {"Iron alloy": 1.6, "Moulding sand": 4.0, "Lid knob": 1}, {"CAST3": 0.045}),
    ("C-306", "Cast lid L", {"Iron alloy": 2.1, "Moulding sand": 5.0, "Lid knob": 1}, {"CAST3": 0.055}),
    ("C-307", "Pressed body 24", {"Aluminium disc": 1.0, "Non-stick coating": 0.05}, {"FIN3": 0.040}),
    ("C-308", "Pressed body 28", {"Aluminium disc": 1.4, "Non-stick coating": 0.07}, {"FIN3": 0.045}),
    ("C-309", "Wood handle set", {"Wood blank": 1, "Rivet": 3}, {"FIN3": 0.020}),
    ("C-310", "Steel handle set", {"Steel handle blank": 1, "Rivet": 3}, {"FIN3": 0.015}),
    ("C-321", "Cooler shell 20", {"PE granulate": 2.6, "PU foam": 0.7, "Pigment blue": 0.03}, {"MOLD3": 0.110}),
    ("C-322", "Cooler shell 35", {"PE granulate": 3.8, "PU foam": 1.1, "Pigment sand": 0.04}, {"MOLD3": 0.150}),
    ("C-323", "Cooler shell 50", {"PE granulate": 5.2, "PU foam": 1.5, "Pigment blue": 0.05}, {"MOLD3": 0.190}),
    ("C-324", "Cooler lid 20", {"PE granulate": 0.9, "PU foam": 0.25, "Gasket": 1.1}, {"MOLD3": 0.050}),
    ("C-325", "Cooler lid 35", {"PE granulate": 1.3, "PU foam": 0.35, "Gasket": 1.4}, {"MOLD3": 0.065}),
    ("C-326", "Cooler lid 50", {"PE granulate": 1.7, "PU foam": 0.45, "Gasket": 1.8}, {"MOLD3": 0.080}),
]
# Bought components and materials: number, name, unit, cost, days, supplier.
_BOUGHT = [
    ("C-121", "Valve manifold 2", "EA", 9.80, 45, "SUP-01"),
    ("C-122", "Valve manifold 3", "EA", 12.90, 45, "SUP-01"),
    ("C-123", "Valve manifold 4", "EA", 15.90, 45, "SUP-01"),
    ("C-124", "Gas regulator", "EA", 5.60, 35, "SUP-01"),
    ("C-125", "Cast grate S", "EA", 8.40, 30, "SUP-02"),
    ("C-126", "Cast grate L", "EA", 12.20, 30, "SUP-02"),
    ("C-221", "Stove valve", "EA", 3.40, 40, "SUP-01"),
    ("C-222", "Flame safety valve", "EA", 7.90, 40, "SUP-01"),
    ("C-327", "Compressor unit", "EA", 58.00, 75, "SUP-03"),
    ("C-328", "Control board", "EA", 14.50, 60, "SUP-03"),
    ("M-101", "Steel sheet 0.8", "KG", 1.35, 14, "SUP-04"),
    ("M-102", "Steel sheet 1.0", "KG", 1.30, 14, "SUP-04"),
    ("M-103", "Steel sheet 1.5", "KG", 1.25, 14, "SUP-04"),
    ("M-104", "Stainless sheet 0.5", "KG", 3.90, 21, "SUP-05"),
    ("M-105", "Stainless sheet 1.0", "KG", 3.70, 21, "SUP-05"),
    ("M-106", "Aluminium sheet", "KG", 3.60, 21, "SUP-05"),
    ("M-107", "Aluminium disc", "EA", 2.60, 21, "SUP-05"),
    ("M-108", "Steel tube 25", "M", 1.10, 14, "SUP-04"),
    ("M-109", "Stainless tube 60", "M", 6.40, 21, "SUP-05"),
    ("M-110", "Brass rod", "KG", 7.80, 21, "SUP-05"),
    ("M-111", "Iron alloy", "KG", 1.15, 14, "SUP-06"),
    ("M-112", "Moulding sand", "KG", 0.06, 7, "SUP-06"),
    ("M-113", "Wire rod", "KG", 2.90, 14, "SUP-04"),
    ("M-121", "Enamel black", "KG", 6.20, 20, "SUP-07"),
    ("M-122", "Enamel red", "KG", 7.40, 20, "SUP-07"),
    ("M-123", "Enamel green", "KG", 7.60, 20, "SUP-07"),
    ("M-124", "Powder black", "KG", 5.10, 10, "SUP-07"),
    ("M-125", "Powder silver", "KG", 5.60, 10, "SUP-07"),
    ("M-126", "Non-stick coating", "KG", 19.00, 20, "SUP-07"),
    ("M-127", "Seasoning oil", "KG", 3.80, 10, "SUP-07"),
    ("M-128", "Pigment blue", "KG", 9.00, 20, "SUP-08"),
    ("M-129", "Pigment sand", "KG", 8.60, 20, "SUP-08"),
    ("M-131", "PE granulate", "KG", 1.62, 14, "SUP-08"),
    ("M-132", "PU foam", "KG", 3.10, 14, "SUP-08"),
    ("M-133", "Gasket", "M", 0.55, 14, "SUP-08"),
    ("M-201", "Thermometer", "EA", 1.45, 50, "SUP-09"),
    ("M-202", "Lid handle", "EA", 1.10, 30, "SUP-10"),
    ("M-203", "Venturi", "EA", 0.62, 30, "SUP-10"),
    ("M-204", "Gas hose 0.8", "EA", 2.30, 30, "SUP-09"),
    ("M-205", "Gas hose 1.5", "EA", 3.20, 30, "SUP-09"),
    ("M-206", "Piezo igniter", "EA", 1.25, 50, "SUP-11"),
    ("M-207", "Battery igniter", "EA", 6.80, 50, "SUP-11"),
    ("M-208", "Knob", "EA", 0.42, 14, "SUP-10"),
    ("M-209", "Wheel 150", "EA", 0.95, 30, "SUP-10"),
    ("M-210", "Wheel 200", "EA", 1.35, 30, "SUP-10"),
    ("M-211", "Castor", "EA", 1.60, 30, "SUP-10"),
    ("M-212", "Side shelf", "EA", 6.90, 30, "SUP-10"),
    ("M-213", "Heat shield", "EA", 1.20, 14, "SUP-04"),
    ("M-214", "Vent disc", "EA", 0.48, 14, "SUP-10"),
    ("M-215", "Wood handle", "EA", 0.90, 30, "SUP-12"),
    ("M-216", "Grate wire 47", "EA", 3.10, 21, "SUP-02"),
    ("M-217", "Grate wire 57", "EA", 3.90, 21, "SUP-02"),
    ("M-218", "Grate wire 67", "EA", 5.10, 21, "SUP-02"),
    ("M-219", "Screw kit A", "EA", 0.85, 14, "SUP-13"),
    ("M-220", "Screw kit B", "EA", 0.45, 14, "SUP-13"),
    ("M-221", "Pot support set", "EA", 1.70, 21, "SUP-10"),
    ("M-222", "Carry pouch", "EA", 1.15, 60, "SUP-12"),
    ("M-223", "Emitter mesh", "EA", 4.60, 30, "SUP-05"),
    ("M-224", "Wind mesh", "EA", 1.05, 30, "SUP-05"),
    ("M-225", "Glass tube", "EA", 21.00, 45, "SUP-14"),
    ("M-226", "Tilt switch", "EA", 2.20, 50, "SUP-11"),
    ("M-227", "Latch", "EA", 0.80, 30, "SUP-10"),
    ("M-228", "Hinge", "EA", 0.55, 30, "SUP-10"),
    ("M-229", "Drain plug", "EA", 0.40, 30, "SUP-10"),
    ("M-230", "Rope handle", "EA", 0.70, 30, "SUP-12"),
    ("M-231", "Wood blank", "EA", 1.30, 30, "SUP-12"),
    ("M-232", "Steel handle blank", "EA", 0.95, 21, "SUP-12"),
    ("M-233", "Rivet", "EA", 0.03, 14, "SUP-13"),
    ("M-234", "Lid knob", "EA", 0.75, 30, "SUP-12"),
    ("M-235", "Carry handle", "EA", 0.85, 30, "SUP-12"),
    ("M-301", "Carton XS", "EA", 0.55, 10, "SUP-13"),
    ("M-302", "Carton S", "EA", 0.95, 10, "SUP-13"),
    ("M-303", "Carton M", "EA", 1.70, 10, "SUP-13"),
    ("M-304", "Carton L", "EA", 2.90, 10, "SUP-13"),
    ("M-305", "Carton XL", "EA", 4.20, 10, "SUP-13"),
    ("M-306", "Manual", "EA", 0.22, 10, "SUP-13"),
    ("M-307", "Label", "EA", 0.05, 10, "SUP-13"),
]
_PAPERS = {"Manual": 1, "Label": 2}
# What a finished item of a family and size is made of, and its assembly hours.
_RECIPES: dict[tuple[str, str], tuple[dict[str, float], dict[str, float]]] = {
    ("GG", "S"): ({"Firebox S": 1, "Lid S": 1, "Burner tube": 2, "Cart S": 1, "Valve manifold 2": 1, "Gas regulator": 1, "Cast grate S": 1,
                   "Gas hose 0.8": 1, "Piezo igniter": 1, "Knob": 2, "Screw kit A": 1, "Carton L": 1, **_PAPERS}, {"ASMG1": 0.38}),
    ("GG", "M"): ({"Firebox M": 1, "Lid M": 1, "Burner tube": 3, "Cart S": 1, "Valve manifold 3": 1, "Gas regulator": 1, "Cast grate L": 1,
                   "Gas hose 0.8": 1, "Piezo igniter": 1, "Knob": 3, "Screw kit A": 1, "Carton XL": 1, **_PAPERS}, {"ASMG1": 0.46}),
    ("GG", "L"): ({"Firebox L": 1, "Lid L": 1, "Burner tube": 4, "Cart L": 1, "Valve manifold 4": 1, "Gas regulator": 1, "Cast grate L": 2,
                   "Gas hose 1.5": 1, "Piezo igniter": 1, "Knob": 4, "Screw kit A": 1, "Carton XL": 1, **_PAPERS}, {"ASMG1": 0.60}),
    ("CG", "S"): ({"Bowl 47": 1, "Kettle lid 47": 1, "Leg set": 1, "Ash catcher": 1, "Grate wire 47": 1, "Wood handle": 2, "Screw kit B": 1,
                   "Carton M": 1, **_PAPERS}, {"ASMC1": 0.17}),
    ("CG", "M"): ({"Bowl 57": 1, "Kettle lid 57": 1, "Leg set": 1, "Ash catcher": 1, "Grate wire 57": 1, "Wood handle": 2, "Screw kit B": 1,
                   "Carton L": 1, **_PAPERS}, {"ASMC1": 0.20}),
    ("CG", "L"): ({"Bowl 67": 1, "Kettle lid 67": 1, "Leg set": 1, "Ash catcher": 1, "Grate wire 67": 1, "Wood handle": 2, "Screw kit B": 1,
                   "Carton L": 1, **_PAPERS}, {"ASMC1": 0.25}),
    ("ST", "A"): ({"Stove body A": 1, "Burner head L": 1, "Stove valve": 1, "Piezo igniter": 1, "Pot support set": 1, "Knob": 1,
                   "Carton S": 1, **_PAPERS}, {"ASMS2": 0.12}),
    ("ST", "B"): ({"Stove body B": 1, "Burner head L": 2, "Stove valve": 2, "Piezo igniter": 1, "Pot support set": 2, "Knob": 2,
                   "Gas hose 0.8": 1,
                   "Carton M": 1, **_PAPERS}, {"ASMS2": 0.20}),
    ("ST", "C"): ({"Stove body C": 1, "Burner head S": 1, "Stove valve": 1, "Carry pouch": 1, "Carton XS": 1, **_PAPERS}, {"ASMS2": 0.09}),
    ("HT", "1"): ({"Heater column 1": 1, "Reflector": 1, "Heater burner": 1, "Heater base": 1, "Flame safety valve": 1, "Gas regulator": 1,
                   "Gas hose 0.8": 1, "Piezo igniter": 1, "Tilt switch": 1, "Screw kit A": 1, "Carton L": 1, **_PAPERS}, {"ASMH2": 0.42}),
    ("HT", "2"): ({"Heater column 2": 1, "Reflector": 1, "Heater burner": 1, "Heater base": 1, "Flame safety valve": 1, "Gas regulator": 1,
                   "Gas hose 1.5": 1, "Piezo igniter": 1, "Tilt switch": 1, "Screw kit A": 1, "Carton XL": 1, **_PAPERS}, {"ASMH2": 0.55}),
    ("CW", "C20"): ({"Cast body 20": 1, "Seasoning oil": 0.03, "Carton XS": 1, "Label": 1}, {"FIN3": 0.045}),
    ("CW", "C24"): ({"Cast body 24": 1, "Steel handle set": 1, "Seasoning oil": 0.04, "Carton S": 1, "Label": 1}, {"FIN3": 0.050}),
    ("CW", "C28"): ({"Cast body 28": 1, "Cast lid S": 1, "Carry handle": 1, "Seasoning oil": 0.06,
                   "Carton S": 1, **_PAPERS}, {"FIN3": 0.065}),
    ("CW", "C32"): ({"Cast body 32": 1, "Cast lid L": 1, "Carry handle": 1, "Seasoning oil": 0.08,
                   "Carton M": 1, **_PAPERS}, {"FIN3": 0.075}),
    ("CW", "A24"): ({"Pressed body 24": 1, "Steel handle set": 1, "Carton S": 1, "Label": 1}, {"FIN3": 0.050}),
    ("CW", "A28"): ({"Pressed body 28": 1, "Steel handle set": 1, "Carton S": 1, "Label": 1}, {"FIN3": 0.055}),
    ("CO", "20"): ({"Cooler shell 20": 1, "Cooler lid 20": 1, "Latch": 2, "Hinge": 2, "Drain plug": 1, "Rope handle": 2,
                   "Carton M": 1, **_PAPERS},
                   {"FIN3": 0.090}),
    ("CO", "35"): ({"Cooler shell 35": 1, "Cooler lid 35": 1, "Latch": 2, "Hinge": 2, "Drain plug": 1, "Rope handle": 2,
                   "Carton L": 1, **_PAPERS},
                   {"FIN3": 0.110}),
    ("CO", "50"): ({"Cooler shell 50": 1, "Cooler lid 50": 1, "Latch": 2, "Hinge": 3, "Drain plug": 1, "Rope handle": 2,
                   "Carton XL": 1, **_PAPERS},
                   {"FIN3": 0.130}),
}
SCRAP = {"C": 0.0, "M": 0.01}  # share lost by kind of part
SUBCONTRACTED = ("GG-101", "GG-102", "GG-103", "GG-104", "CG-101", "CG-103", "CW-101", "CW-104")
# Pressed pans can also be made in Brno: item, resource there, hours per unit.
SECOND_PLANT = "P2"
SECOND_PLANT_STEPS = (
    ("C-307", "PRESS2", 0.044),
    ("C-308", "PRESS2", 0.050),
    ("C-310", "ASMS2", 0.017),
    ("CW-105", "ASMS2", 0.055),
    ("CW-106", "ASMS2", 0.061),
)


def finished_specifications() -> pd.DataFrame:
    """Every finished item with family, size, weight, markets, noise and further parts."""
    rows = [
        (f"{code}-{number}", name, code, size, weight, markets, noise, dict(parts))
        for code, items in _FINISHED.items()
        for number, name, size, weight, markets, noise, parts in items
    ]
    return pd.DataFrame(rows, columns=["item_id", "item_name", "code", "size", "weight", "markets", "noise", "parts"])


def item_numbers() -> dict[str, str]:
    """Item number of each component and material by name."""
    return {name: number for number, name, *_ in [*_MADE, *_BOUGHT]}


def bought_items() -> pd.DataFrame:
    """Bought components and materials with unit, cost, lead time and supplier."""
    return pd.DataFrame(_BOUGHT, columns=["item_id", "item_name", "base_unit", "unit_cost_amt", "lead_time_days", "supplier_id"])


def made_components() -> pd.DataFrame:
    """Components made in own plants."""
    return pd.DataFrame([row[:2] for row in _MADE], columns=["item_id", "item_name"])


def bill_of_material() -> pd.DataFrame:
    """One row per parent and part, valid from the beginning."""
    number = item_numbers()
    rows = [(parent, number[part], float(quantity)) for parent, _, parts, _ in _MADE for part, quantity in parts.items()]
    for item in finished_specifications().itertuples():
        parts = dict(_RECIPES[item.code, item.size][0])
        for part, quantity in item.parts.items():
            parts[part] = parts.get(part, 0) + quantity
        rows += [(item.item_id, number[part], float(quantity)) for part, quantity in parts.items()]
    bom = pd.DataFrame(rows, columns=["parent_item_id", "component_item_id", "quantity_per"])
    bom["scrap_ratio"] = bom["component_item_id"].str[0].map(SCRAP)
    return bom.assign(valid_from="2020-01-01", valid_to=None)


def routing() -> pd.DataFrame:
    """Hours per unit of every made item on every resource, at the second plant too."""
    rows = [(number, resource, hours) for number, _, _, steps in _MADE for resource, hours in steps.items()]
    for item in finished_specifications().itertuples():
        rows += [(item.item_id, resource, hours) for resource, hours in _RECIPES[item.code, item.size][1].items()]
    rows += list(SECOND_PLANT_STEPS)
    steps = pd.DataFrame(rows, columns=["item_id", "resource_id", "hours_per_unit"])
    steps = steps.merge(RESOURCES[["resource_id", "location_id"]], on="resource_id", validate="many_to_one")
    steps["hours_per_lot"] = np.where(steps["item_id"].str.startswith("C-"), 0.5, 1.0)
    return steps[["item_id", "location_id", "resource_id", "hours_per_unit", "hours_per_lot"]]


def working_days(plant: str, months: pd.DatetimeIndex) -> np.ndarray:
    """Working days of a plant in each month, shut-downs taken off."""
    start = months.values.astype("datetime64[D]")
    end = (months + pd.DateOffset(months=1)).values.astype("datetime64[D]")
    closed = np.array([SHUTDOWN_DAYS.get((plant, month.month), 0) for month in months])
    return np.busday_count(start, end) - closed
