"""Reports: read run directories only, fit nothing."""
from curator.rundir import RunDirectory
def write_report(directory: RunDirectory) -> None:
    directory.report.write_text("todo")
