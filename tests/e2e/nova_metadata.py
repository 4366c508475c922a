"""Nova's metadata service with one instance in its database; for the Python that Nova is installed for.

OS_NOVA_CONFIG_DIR has nova.conf and api-paste.ini; ADDRESS is where it listens, INSTANCE, PROJECT and NAME are the
instance's. (Nova takes the arguments for its own.)
"""

import os
from wsgiref.simple_server import make_server

from nova.wsgi.metadata import application  # isort: skip - it decides how Nova's threads are made
from nova import context, objects
from nova.network import model, neutron

FLAVOR = {"flavorid": "1", "name": "m1.tiny", "memory_mb": 64, "vcpus": 1, "root_gb": 0, "ephemeral_gb": 0, "swap": 0}
UNUSED = {"rxtx_factor": 1.0, "vcpu_weight": 0, "disabled": False, "is_public": True, "extra_specs": {}}
UNUSED |= {"description": None, "projects": []}

admin = context.get_admin_context()
instance = objects.Instance(
    admin,
    uuid=os.environ["INSTANCE"],
    project_id=os.environ["PROJECT"],
    user_id="somebody",
    hostname=os.environ["NAME"],
    display_name=os.environ["NAME"],
    image_ref="",
    availability_zone="nova",
    metadata={"told": "by Nova"},
    flavor=objects.Flavor(id=1, **FLAVOR, **UNUSED),
    info_cache=objects.InstanceInfoCache(instance_uuid=os.environ["INSTANCE"], network_info=model.NetworkInfo()),
)
instance.create()
neutron.API().get_instance_nw_info(admin, instance, force_refresh=True)
with make_server(os.environ["ADDRESS"], 8775, application) as server:
    server.serve_forever()
