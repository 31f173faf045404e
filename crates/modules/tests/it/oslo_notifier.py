# Sends notifications as OpenStack's services do, by their own library: versioned INFO and
# ERROR and legacy INFO of compute, and one of another service.
# Usage: oslo_notifier.py PORT NAME...   (NAME is the uuid of an instance)
import sys

import oslo_messaging
from oslo_config import cfg


def versioned(uuid):
    address = {"nova_object.name": "IpPayload", "nova_object.namespace": "nova",
               "nova_object.version": "1.0", "nova_object.data": {"address": "192.0.2.7"}}
    return {"nova_object.name": "InstanceActionPayload", "nova_object.namespace": "nova",
            "nova_object.version": "1.9",
            "nova_object.data": {"uuid": uuid, "state": "active", "ip_addresses": [address]}}


def main():
    port, names = sys.argv[1], sys.argv[2:]
    conf = cfg.ConfigOpts()
    oslo_messaging.set_transport_defaults("nova")
    url = f"rabbit://guest:guest@127.0.0.1:{port}/"
    transport = oslo_messaging.get_notification_transport(conf, url=url)
    conf([], default_config_files=[])
    conf.set_override("amqp_durable_queues", True, group="oslo_messaging_rabbit")
    context = {"user_id": "user1", "auth_token": "gAAAA-secret-token"}
    new = oslo_messaging.Notifier(transport, publisher_id="nova-compute:cmp1",
                                  driver="messagingv2", topics=["versioned_notifications"])
    old = oslo_messaging.Notifier(transport, publisher_id="compute.cmp1",
                                  driver="messagingv2", topics=["notifications"])
    for name in names:
        # What makes no event comes first: once the events are stored, it is done with as well.
        old.info(context, "volume.create.end", {"volume_id": "v"})
        new.info(context, "instance.create.end", versioned(name))
        new.error(context, "instance.create.error", versioned(name))
        old.info(context, "compute.instance.create.end",
                 {"instance_id": name, "admin_password": "hunter22"})
    transport.cleanup()


main()
