"""Name the three systems that every result is compared with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One of the three named systems that every result is compared with."""

    key: str
    """Short name in code and files; the result column is percent_of_<key>."""
    label: str
    published_gbs: float
    """The figure that percentages divide by, in GB/s."""
    note: str

    @property
    def column(self) -> str:
        """The name of the result column."""
        return f"percent_of_{self.key}"


REFERENCES = (
    Reference(
        key="dgx_spark",
        label="DGX Spark",
        published_gbs=273.0,
        note="273 GB/s: 256-bit LPDDR5X at 8533 MT/s, shared by CPU and GPU.",
    ),
    Reference(
        key="rtx_pro_5000",
        label="RTX PRO 5000",
        published_gbs=1344.0,
        note="1344 GB/s (often rounded to 1.3 TB/s): 384-bit GDDR7 at 28 Gbit/s.",
    ),
    Reference(
        key="dgx_station",
        label="DGX Station",
        published_gbs=8000.0,
        note="8000 GB/s is the announced figure; the shipping datasheet says 7100 GB/s.",
    ),
)
"""The comparison systems, in the order of the result columns; sources are in data/devices.csv."""

DGX_STATION_SHIPPING_GBS = 7100.0
"""GB/s in the datasheet of the DGX Station that ships; percentages divide by the announced figure."""
