"""The engines that run plans; `control` is their only caller."""
