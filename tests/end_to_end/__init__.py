"""The whole machine: a project on the disk, run as users run it."""
