"""The service in a role: what SageMaker does for a job, a pipeline or an endpoint, it does as the role of that."""

from __future__ import annotations

import re
import threading
from typing import Any

from .place import Place

OF_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<name>[^:@]+)")
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")


class Session:
    """One session in a role. Several threads may use it."""

    def __init__(self, place: Place, role_arn: str) -> None:
        """Raises PermissionError if the role does not let SageMaker take it on."""
        self._place = place
        self.credentials = place.credentials(role_arn)
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()

    def client(self, service: str) -> Any:
        """A client with the credentials of the role."""
        with self._making:
            if service not in self._clients:
                self._clients[service] = self._place.client_with(service, self.credentials)
            return self._clients[service]

    def require(self, action: str, resource: str) -> None:
        """For what no request is made of here. Raises PermissionError if the role may not do it."""
        self._place.require(self.credentials, action, resource)

    def pull(self, image: str) -> None:
        """What the role needs to bring an image; none is brought. Raises PermissionError if it may not."""
        found = OF_ECR.match(image)
        if found is None:
            return
        self.require("ecr:GetAuthorizationToken", "*")
        for action in PULL:
            self.require(action, f"arn:aws:ecr:{found['region']}:{found['account']}:repository/{found['name']}")
