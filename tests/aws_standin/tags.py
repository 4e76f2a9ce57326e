"""Tags of what is in SageMaker, for policies that ask for them."""

from __future__ import annotations

from moto.core import DEFAULT_ACCOUNT_ID
from moto.sagemaker.models import FakeEndpointConfig, sagemaker_backends

# moto makes a tuple of it, by a comma too many, and the tagging API does not find it
FakeEndpointConfig.arn = property(lambda self: self.endpoint_config_arn, lambda self, value: None)


def tags_of(arn: str, region: str) -> dict[str, str]:
    """The tags of a resource; none if there is none. The service has small letters in ARNs, moto has not."""
    wanted = arn.partition("/execution/")[0].lower()  # an execution has those of its pipeline
    found = sagemaker_backends[DEFAULT_ACCOUNT_ID][region].iter_tagged_resources()
    return next((dict(one.tags) for one in found if one.arn.lower() == wanted), {})
