"""The environment variables that the pipeline reads. Each name stands here and nowhere else.

Anybody can set them, and they are inherited by everything below: none of them may decide what is registered.
"""

DVC_ROOT = "DVC_ROOT"  # root of the project that dvc was first started in; of another one where dvc runs inside dvc
DVC_STAGE = "DVC_STAGE"  # set by dvc for every command it runs
DVC_EXP_NAME = "DVC_EXP_NAME"  # set inside experiments only, of the project that DVC_ROOT names
DVC_EXP_BASELINE_REV = "DVC_EXP_BASELINE_REV"  # the commit an experiment started from
PIPELINE_COMPUTE = "PIPELINE_COMPUTE"  # where stages run in this call: "local", or "train=sagemaker,evaluate=local"
PIPELINE_JOB_SPEC = "PIPELINE_JOB_SPEC"  # inside a job: the file that says what for, written by who sent it
PIPELINE_IMAGE_PACKAGES = (
    "PIPELINE_IMAGE_PACKAGES"  # inside a job: version by name, as JSON, of the torch packages that the image brought
)
PIPELINE_EXECUTION = "PIPELINE_EXECUTION"  # inside a job that is a step of a pipeline: the id of its execution
PIPELINE_SETTING = "PIPELINE_SETTING_"  # and, with a number, what it was started with otherwise: `data.fraction=0.1`
PIPELINE_COLLECTED = "PIPELINE_COLLECTED"  # a folder of reports that `lineage pipeline collect` takes into dvc.lock
PIPELINE_SPARK = "PIPELINE_SPARK"  # inside a job: where Spark runs, as JSON: `master`, `shared` and `conf`
PIPELINE_SERVE = "PIPELINE_SERVE"  # of the program `serve`: which model, its hash and the limits, as JSON
SAGEMAKER_BIND_TO_PORT = "SAGEMAKER_BIND_TO_PORT"  # set by SageMaker where containers share an instance
WANDB_MODE = "WANDB_MODE"  # "offline" or "disabled": W&B gets less than conf/ says, never more
WANDB_API_KEY = "WANDB_API_KEY"  # read by the package wandb; here to take it out of what is said
# set for the package wandb, where nobody has
WANDB_CACHE_DIR = "WANDB_CACHE_DIR"
WANDB_DATA_DIR = "WANDB_DATA_DIR"
WANDB_ERROR_REPORTING = "WANDB_ERROR_REPORTING"  # always "false"
LINEAGE_KEY_PASSWORD = "LINEAGE_KEY_PASSWORD"  # noqa: S105  of the private key that `lineage attest` signs with
