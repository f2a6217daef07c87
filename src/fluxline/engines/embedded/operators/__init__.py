"""The operators, one file each: filter, project, window_aggregate, group_aggregate, union, map_batches, expect."""
