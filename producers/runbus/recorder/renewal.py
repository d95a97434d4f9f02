"""Gives the producer of a running agent a new password or certificate, without losing a step."""

from __future__ import annotations

import logging
import time
from typing import Literal

from confluent_kafka import Producer

from runbus.config.rotation import LOOK_S, CredentialFiles
from runbus.kafka.settings import KafkaSettings

log = logging.getLogger(__name__)

#: How long a client with the old certificate may take to deliver what it has. Past this its broker refuses it already;
#: what it has is given up, and counted as dropped.
DRAIN_S = 30.0


class Renewal:
    """Follows the files of the credentials. One thread uses it.

    A password is given to the client that is there: it uses it for the connections to come. A certificate is read when
    a client is made, so the old client first delivers what it has, then a new one takes its place; what is recorded
    meanwhile waits in the queue. (To send again with a new client what an old one was given could store it twice.)
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._files = CredentialFiles(settings.credential_files)
        self._look_at = 0.0
        self._drain_until: float | None = None

    def advance(self, producer: Producer) -> Literal["unchanged", "draining", "replace"]:
        """Look at the files, once a second, and go on with what changed there.

        Returns:
            draining: send nothing to this producer until it is replaced. replace: close it and make a new one.
        """
        now = time.monotonic()
        if self._drain_until is None:
            if not self._settings.credential_files or now < self._look_at:
                return "unchanged"
            self._look_at = now + LOOK_S
            changed = self._files.changed()
            if changed:
                log.warning("the credentials for Kafka changed (%s): they are taken over", ", ".join(map(str, changed)))
                self._set_password(producer)
            if not set(changed) & set(self._settings.tls_files):
                return "unchanged"
            self._drain_until = now + DRAIN_S
        if len(producer) and now < self._drain_until:
            return "draining"
        self._drain_until = None
        return "replace"

    def _set_password(self, producer: Producer) -> None:
        if self._settings.uses_password:
            producer.set_sasl_credentials(self._settings.sasl_username, self._settings.sasl_password.reveal())
