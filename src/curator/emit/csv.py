"""The rows of a dataset in parts once more, as one CSV."""

from __future__ import annotations

from curator.rundir import RunDirectory, atomic


def write_csv(directory: RunDirectory) -> None:
    """Write ``curated.csv`` from the parts, batch by batch; durations are seconds."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic(directory.curated_csv) as part, part.open("w", newline="", encoding="utf-8") as handle:
        header = True
        for path in sorted(directory.parts.glob("part-*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches():
                whole = [f.type for f in batch.schema if pa.types.is_integer(f.type)]
                # Whole numbers stay whole where some are missing.
                kinds = {t: pd.UInt64Dtype() if pa.types.is_unsigned_integer(t) else pd.Int64Dtype() for t in whole}
                frame = batch.to_pandas(types_mapper=kinds.get)
                seconds = {n: v.dt.total_seconds() for n, v in frame.select_dtypes("timedelta").items()}
                frame.assign(**seconds).to_csv(handle, header=header, index=False)
                header = False
