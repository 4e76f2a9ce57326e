"""The environment variables that the pipeline reads. Each name stands here and nowhere else."""

DVC_ROOT = "DVC_ROOT"  # root of the main project, also inside a temporary experiment
DVC_STAGE = "DVC_STAGE"  # set by dvc for every command it runs
DVC_EXP_NAME = "DVC_EXP_NAME"  # set inside experiments only
PIPELINE_CALLBACKS = "PIPELINE_CALLBACKS"  # "none": nobody is told, whatever params.yaml says; for `lineage reproduce`
DVC_EXP_BASELINE_REV = "DVC_EXP_BASELINE_REV"  # the commit an experiment started from
PIPELINE_COMPUTE = "PIPELINE_COMPUTE"  # where stages run in this call: "local", or "train=sagemaker,evaluate=local"
PIPELINE_TICKET = "PIPELINE_TICKET"  # inside a job: the file that says what for, written by who sent it
PIPELINE_KEPT = "PIPELINE_KEPT"  # inside a job: version by name, as JSON, of the torch packages that the image brought
PIPELINE_CONSENT = "PIPELINE_CONSENT"  # a snapshot that stands for the registry, in `lineage reproduce` only
