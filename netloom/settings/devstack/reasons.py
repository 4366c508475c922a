"""Why words of DevStack's files mean nothing in a configuration of ours, and what to do instead."""

from fnmatch import fnmatchcase

PROJECT_NETWORKS = "'openstack subnet create --subnet-range … --gateway …' makes it, once there is a network."
EXTERNAL_NETWORK = "'netloom up --external ADDRESS/LENGTH' makes the external network."
PASSWORDS = (
    "'netloom up' makes passwords of its own; they are in admin-openrc and clouds.yaml beside the configuration."
)
BROKER = "There is no message broker, and the database is SQLite unless [database] connection names another."
COMPUTE = "It is for nova.conf; Netloom's own compute has no such options."
ELSEWHERE = "It belongs to a service that is not here."
DEVSTACK = "It says how DevStack installs and runs itself."

VARIABLES = (
    ("MYSQL_* DATABASE_* RABBIT_* QPID_* *_HOSTPORT", BROKER),
    ("*PASSWORD* *TOKEN*", PASSWORDS),
    ("LOG* SCREEN* VERBOSE SYSLOG* *_LOG *DEBUG*", "Logs go to standard error; [DEFAULT] debug says how much."),
    ("FLOATING_RANGE PUBLIC_NETWORK_* PUBLIC_SUBNET* Q_FLOATING_ALLOCATION_POOL TEST_FLOATING_*", EXTERNAL_NETWORK),
    (
        "FIXED_* NETWORK_GATEWAY PRIVATE_* SUBNETPOOL_* IPV4_* IPV6_* IP_VERSION PROVIDER_* SEGMENTATION_ID",
        PROJECT_NETWORKS,
    ),
    ("Q_ROUTER_NAME PUBLIC_ROUTER* Q_USE_PROVIDER*", "'openstack router create' makes routers."),
    ("NEUTRON_CREATE_INITIAL_NETWORKS", "'netloom up --bare' makes no external network; others are never made."),
    ("PHYSICAL_INTERFACE", "Bridges of physical networks are yours: 'ovs-vsctl add-port BRIDGE DEVICE' fills them."),
    ("PUBLIC_INTERFACE", "'netloom up --external-device DEVICE' puts it into the external bridge."),
    (
        "FLAT_INTERFACE VLAN_INTERFACE GUEST_INTERFACE* MULTI_HOST NETWORK_MANAGER NOVA_NETWORK* FLAT_NETWORK_*",
        "It is for nova-network, which is not here.",
    ),
    ("EXTRA_OPTS", COMPUTE),
    ("LIBVIRT_* VIRT_DRIVER NOVA_* NOVNC* SPICE* VNC* *VNCSERVER* INSTANCE_* CELL*", COMPUTE),
    ("IMAGE_URLS DOWNLOAD_DEFAULT_IMAGES DEFAULT_IMAGE_*", "Images are uploaded by 'openstack image create'."),
    (
        "SWIFT_* VOLUME_* CINDER_* GLANCE_* HEAT_* TROVE_* CEILOMETER_* HORIZON_* IRONIC_* S3_* SAHARA_* MANILA_*"
        " BARBICAN_* OCTAVIA_* TEMPEST_* PLACEMENT_*",
        ELSEWHERE,
    ),
    ("KEYSTONE_* IDENTITY_*", "A Keystone of your own is named in [keystone_authtoken]."),
    ("DEST DATA_DIR TOP_DIR RECLONE OFFLINE PIP_* GIT_* *_REPO *_BRANCH *_REF LIBS_FROM_GIT USE_* WSGI_*", DEVSTACK),
    ("APACHE_* API_WORKERS ERROR_ON_CLONE FORCE REQUIREMENTS_* STACK_* SERVICE_TIMEOUT SERVICE_DIR *_MODE", DEVSTACK),
    ("Q_USE_ROOTWRAP Q_USE_DEBUG_COMMAND Q_RR_* Q_OVS_USE_VETH", "There is one way to do it, and it needs no choice."),
    ("Q_ALLOW_OVERLAPPING_IP", "Addresses of different networks may always overlap."),
    ("Q_PLUGIN_EXTRA_CONF_* NEUTRON_*", "It names files or options of Neutron's that nothing is known of."),
    ("Q_ADMIN_* Q_PROTOCOL Q_HOST", "The server's account and address are not told to others."),
)
"""Patterns of variables' names, parted by spaces, and why they are left out; the first that fits counts."""

NOVA_NETWORK = "There is no nova-network: Netloom is the network service."
CONSOLES = "Consoles are opened by 'netloom console' and 'openstack console log show'."
WHOLE_SERVICES = "Netloom's own identity, compute and images are one service, without parts."
SERVICES = (
    ("n-net n-net-*", NOVA_NETWORK),
    ("n-novnc n-xvnc n-spice n-cauth n-crt n-cert n-sproxy", CONSOLES),
    ("n-obj n-vol", ELSEWHERE),
    (
        "n-* g-* key keystone placement* glance nova",
        WHOLE_SERVICES,
    ),
    ("mysql postgresql rabbit qpid zeromq zookeeper etcd3 memcached dstat tls-proxy", BROKER),
    ("tempest", "Tempest is no service: run it against the cloud."),
    (
        "q-vpn q-fwaas q-fwaas-* q-firewall* q-metering q-metering* neutron-metering* neutron-vpnaas* neutron-fwaas*",
        ELSEWHERE,
    ),
    ("q-sriov-agt neutron-sriov* ovn-* q-ovn-* ovn neutron-ovn-*", "Hosts run one agent, for Open vSwitch."),
    ("q-qos neutron-qos q-dns neutron-dns q-* neutron-*", "No such part of the network service is here."),
)
"""Patterns of services' names and why enabling them says nothing."""


def why_no_variable(name: str) -> str:
    """Why a variable is left out."""
    return _first(VARIABLES, name) or "Netloom has nothing of the kind."


def why_no_service(name: str) -> str:
    """Why a service is left out."""
    return _first(SERVICES, name) or ELSEWHERE


def _first(table: tuple[tuple[str, str], ...], name: str) -> str | None:
    return next((why for patterns, why in table if any(fnmatchcase(name, each) for each in patterns.split())), None)
