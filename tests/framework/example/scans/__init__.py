"""A project as small as the framework allows: what `lineage.contract` asks for, and a network to depend on."""
