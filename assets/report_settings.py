"""What the project file says about the report on storage."""

from pydantic import Field

from assets.section import Section


class Prices(Section):
    """What a gigabyte (2³⁰ bytes) costs a month. The defaults are list prices of one cloud, for orientation: write down what you pay."""

    lakehouse: float = Field(0.08, ge=0, description="Tables and catalog; the default is a general-purpose SSD volume.")
    objects: float = Field(0.023, ge=0, description="Collected bytes, data sets, models and reports; the default is a standard bucket.")
    search_index: float = Field(0.08, ge=0, description="The full-text index; the default is a general-purpose SSD volume.")
    backups: float = Field(0.0125, ge=0, description="Backups; the default is a bucket for infrequent access.")


class Report(Section):
    """How `storage_report` counts and reckons."""

    prices: Prices = Prices()
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="Currency of the prices, ISO 4217.")
    window_days: int = Field(30, ge=1, le=3650, description="Days back that reads and writes are counted.")
    small_file_mib: float = Field(
        32.0, gt=0, description="Data files below so many MiB are small; `textmill run compact` merges those below 32."
    )
