"""A Kafka that asks who may do what (KRaft's own authorizer): rights that are given, taken away and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from kernel.settings import KafkaSettings
from movers.local.broker.node import LockedDoor
from tests.stack.certificates import Authority
from tests.stack.ports import free_port
from tests.stack.processes import KafkaProcess

_USER, _PASSWORD = "movers", "canary-77ab"
_GUARD = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",  # the node itself, and the tests through the door without a lock
}


Right = tuple[ResourceType, str, AclOperation]
"""To do something with a thing of that name; `*` is every name."""

ANYWHERE: tuple[Right, ...] = (
    (ResourceType.TOPIC, "*", AclOperation.WRITE),
    (ResourceType.BROKER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
)
"""Without these Kafka gives a client of ours no number either, by which it keeps the order: that breaks the client."""


class Rights:
    """What the user of `settings` may do: everything, less what was taken away.

    Args:
        node: asked as its super user.
        settings: how that user gets in, as settings of a process too.
    """

    def __init__(self, node: KafkaProcess, settings: dict[str, str]) -> None:
        self._admin = AdminClient({"bootstrap.servers": node.bootstrap})
        self.settings = settings
        self.kafka = KafkaSettings(**{name.lower(): value for name, value in settings.items()})
        for kind in (ResourceType.TOPIC, ResourceType.GROUP):
            self._add(_acl(kind, "*", AclOperation.ALL, AclPermissionType.ALLOW))
        self._add(_acl(ResourceType.BROKER, "kafka-cluster", AclOperation.ALL, AclPermissionType.ALLOW))

    @contextmanager
    def taken(self, *rights: Right) -> Iterator[None]:
        """Takes some away for the block, and gives them back."""
        for right in rights:
            self._add(_acl(*right, AclPermissionType.DENY))
        try:
            yield
        finally:
            for kind, name, operation in rights:
                denied = AclBindingFilter(
                    kind, name, ResourcePatternType.LITERAL, f"User:{_USER}", "*", operation, AclPermissionType.DENY
                )
                for done in self._admin.delete_acls([denied]).values():
                    done.result(30)

    def _add(self, acl: AclBinding) -> None:
        for done in self._admin.create_acls([acl]).values():
            done.result(30)


@contextmanager
def guarded_kafka(folder: Path) -> Iterator[tuple[KafkaProcess, Rights]]:
    """A node of a test's own whose door asks for rights."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder, "ca")
    door = LockedDoor(port=free_port(), keystore=authority.issue("node"), users={_USER: _PASSWORD})
    node = KafkaProcess(folder / "a node", doors=[door], more=_GUARD)
    try:
        yield (
            node,
            Rights(
                node,
                {
                    "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{door.port}",
                    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                    "KAFKA_SASL_MECHANISM": "PLAIN",
                    "KAFKA_USERNAME": _USER,
                    "KAFKA_PASSWORD": _PASSWORD,
                    "KAFKA_CA_FILE": str(authority.ca_file),
                },
            ),
        )
    finally:
        node.stop()


def _acl(kind: ResourceType, name: str, operation: AclOperation, permission: AclPermissionType) -> AclBinding:
    return AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{_USER}", "*", operation, permission)
