"""What lets Git, and AWS, know who this job is. Nothing is stored: tokens are the service's, and end with the job."""

import base64
import os
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

ROLE = "AWS_ROLE_ARN"
RENEW = 240  # seconds; GitHub's identity tokens are good for five minutes, and a training may ask for keys after hours
AGAIN = 20  # seconds until one that could not be had is asked for again


def git_variables(host, user, token):
    """Variables by which Git sends a token to a host, and to no other."""
    count = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    secret = base64.b64encode(f"{user}:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": f"http.{host}/.extraHeader",
        f"GIT_CONFIG_VALUE_{count}": f"Authorization: Basic {secret}",
        "GIT_TERMINAL_PROMPT": "0",
    }


@contextmanager
def aws_role(service):
    """Within it, AWS takes the commands for the role in AWS_ROLE_ARN, by the identity token of the service (OIDC).

    Without that variable, or by hand, they have the credentials that are there.
    """
    token = service.identity_token() if os.environ.get(ROLE) else None
    if token is None:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:  # nobody else's to read
        file, ended = Path(folder) / "token", threading.Event()
        file.write_text(token)

        def renew():
            pause = RENEW
            while not ended.wait(pause):
                try:
                    fresh = file.with_suffix(".new")
                    fresh.write_text(service.identity_token())
                    fresh.replace(file)
                    pause = RENEW
                except Exception as error:  # whatever it is, the training goes on, and asks for keys in an hour
                    print(f"ci: the identity token was not renewed, which is tried again: {error}", flush=True)
                    pause = AGAIN

        keeper = threading.Thread(target=renew, daemon=True)
        keeper.start()
        os.environ |= {"AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ROLE_SESSION_NAME": "ci"}
        try:
            yield
        finally:
            ended.set()
            keeper.join()
            del os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"]
