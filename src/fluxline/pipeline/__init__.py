"""The Python API: `Pipeline`, `Stream`, `col`; writes a plan and hands it to `control`."""
