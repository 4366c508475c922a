"""What this host does, as the API's agents tell it."""

import os
import shutil

from netloom.feed.protocol import Role
from netloom.plan.intent import Intent
from netloom.settings.host import HostSettings


def roles(settings: HostSettings, intent: Intent, datapath_type: str) -> list[Role]:
    """The roles of this host with their present configurations and counts."""
    present = []
    zone = settings.availability_zone
    if "openvswitch" in settings.roles:
        configurations = _switching(settings, intent, datapath_type)
        present.append(Role("Open vSwitch agent", "neutron-openvswitch-agent", "N/A", configurations))
    if "l3" in settings.roles:
        present.append(Role("L3 agent", "neutron-l3-agent", "l3_agent", _routing(intent), zone))
    if "dhcp" in settings.roles:
        present.append(Role("DHCP agent", "neutron-dhcp-agent", "dhcp_agent", _dhcp(intent), zone))
    if "metadata" in settings.roles:
        present.append(Role("Metadata agent", "neutron-metadata-agent", "N/A", _metadata(settings)))
    if "loadbalancer" in settings.roles:
        present.append(Role("Loadbalancer agent", "neutron-lbaas-agent", "n-lbaas_agent", _balancing(intent), zone))
    if "compute" in settings.roles:
        present.append(Role("Compute", "nova-compute", "compute", _computing(settings, intent), zone))
    return present


def _switching(settings: HostSettings, intent: Intent, datapath_type: str) -> dict[str, object]:
    return {
        "bridge_mappings": dict(settings.bridge_mappings),
        "tunnel_types": list(settings.tunnel_types),
        "tunneling_ip": settings.local_ip,
        "l2_population": settings.l2_population,
        "arp_responder_enabled": settings.l2_population,
        "enable_distributed_routing": False,
        "datapath_type": datapath_type,
        "integration_bridge": settings.integration_bridge,
        "ovs_hybrid_plug": settings.firewall_driver == "iptables_hybrid",
        "devices": len(intent.ports_on(settings.host)),
        "extensions": [],
        "log_agent_heartbeats": False,
    }


def _routing(intent: Intent) -> dict[str, object]:
    routers = intent.routers.values()
    return {
        "agent_mode": "legacy",
        "interface_driver": "openvswitch",
        "handle_internal_only_routers": True,
        "routers": len(routers),
        "ex_gw_ports": sum(router.gateway is not None for router in routers),
        "interfaces": sum(len(router.interfaces) for router in routers),
        "floating_ips": sum(len(router.floating_ips) for router in routers),
        "extensions": [],
        "log_agent_heartbeats": False,
    }


def _dhcp(intent: Intent) -> dict[str, object]:
    served = [intent.networks[network] for network in intent.dhcp if network in intent.networks]
    return {
        "dhcp_driver": "dnsmasq",
        "networks": len(served),
        "subnets": sum(subnet.enable_dhcp for network in served for subnet in network.subnets),
        "ports": sum(len(intent.ports_of(network.id)) for network in served),
        "log_agent_heartbeats": False,
    }


def _balancing(intent: Intent) -> dict[str, object]:
    balancers = intent.load_balancers.values()
    return {
        "device_drivers": ["haproxy_ns"],
        "instances": len(balancers),
        "listeners": sum(len(balancer.listeners) for balancer in balancers),
        "members": sum(len(pool.members) for balancer in balancers for pool in balancer.pools),
        "log_agent_heartbeats": False,
    }


def _computing(settings: HostSettings, intent: Intent) -> dict[str, object]:
    """What there is to give out to instances."""
    return {
        "servers": len(intent.servers),
        "vcpus": os.cpu_count() or 1,
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
        "disk_gb": shutil.disk_usage(settings.state_dir).total // 2**30,
    }


def _metadata(settings: HostSettings) -> dict[str, object]:
    return {"nova_metadata_url": settings.nova_metadata_url, "log_agent_heartbeats": False}
