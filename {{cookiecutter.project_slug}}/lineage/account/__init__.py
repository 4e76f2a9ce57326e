"""What this project has left in its AWS account: `lineage aws`."""
