"""A flow table in Python: where does a packet come out of a planned host, and by which flows?

It knows what the planners use: tables, registers, conjunctions, conntrack with recirculation, the NORMAL
action with VLANs and learned addresses, patch ports, and learned tunnels. Reference: ovs-actions(7),
ovs-fields(7).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from netloom.plan.conntrack import Connections
from netloom.plan.packet import TAGGED, Fields, Packet, mac_text, parse, value_of
from netloom.state import Bridge, Flow, HostState, SwitchPort

MAX_RESUBMITS = 4096
UNTRACKED = {"ct_state": 0, "ct_mark": 0, "ct_zone": 0}
GROUP_BIT = 1 << 40
FIELDS = {
    "NXM_OF_VLAN_TCI[]": "vlan_tci",
    "NXM_OF_VLAN_TCI[0..11]": "vlan_tci",
    "NXM_OF_ETH_SRC[]": "dl_src",
    "NXM_OF_ETH_DST[]": "dl_dst",
    "NXM_NX_TUN_ID[]": "tun_id",
    "NXM_NX_ARP_SHA[]": "arp_sha",
    "NXM_NX_ARP_THA[]": "arp_tha",
    "NXM_OF_ARP_SPA[]": "arp_spa",
    "NXM_OF_ARP_TPA[]": "arp_tpa",
    "NXM_NX_IPV6_SRC[]": "ipv6_src",
    "NXM_NX_IPV6_DST[]": "ipv6_dst",
    "NXM_NX_ND_TLL[]": "nd_tll",
    "icmpv6_type": "icmp_type",
}
"""Other names of fields, as actions use them."""


@dataclass(frozen=True, slots=True)
class Output:
    """A frame that leaves by a port that is not a patch."""

    bridge: str
    port: str
    vlan: int | None
    """Tag that it bears on its way out."""
    tun_id: int
    packet: Packet = field(compare=False)
    """The frame as it is then."""


@dataclass(slots=True)
class Outcome:
    """What became of a packet. No output: it was dropped, by the last flow of the path."""

    outputs: list[Output] = field(default_factory=list)
    path: list[Flow] = field(default_factory=list)
    """The flows that it met, in order; branches one after the other."""
    tracked: list[int] = field(default_factory=list)
    """``ct_state`` after each recirculation, in order: what ``ofproto/trace --ct-next`` wants to know."""

    @property
    def ports(self) -> set[str]:
        """Names of the ports that it left by."""
        return {output.port for output in self.outputs}


@dataclass(slots=True)
class _Frame:
    bridge: str
    in_port: str
    packet: Packet
    fields: Fields

    def copy(self) -> "_Frame":
        return replace(self, fields=dict(self.fields))


class Switch:
    """The bridges of one host. It remembers connections and learned addresses from packet to packet."""

    def __init__(self, state: HostState, connections: Connections | None = None) -> None:
        """From a plan; ports that the plan only presumes (a wire of a physical bridge) may be added to it."""
        self.connections = connections or Connections()
        self.learned: dict[tuple[str, int, int], str] = {}
        """Port by (bridge, VLAN, MAC)."""
        self._ports: Mapping[str, SwitchPort] = {port.name: port for port in state.of(SwitchPort).values()}
        self._by_bridge: dict[str, list[str]] = defaultdict(list)
        for port in self._ports.values():
            self._by_bridge[port.bridge].append(port.name)
        for bridge in {*self._by_bridge, *(bridge.name for bridge in state.of(Bridge).values())}:
            self._by_bridge[bridge].append(bridge)
        self._tables: dict[tuple[str, int], list[Flow]] = defaultdict(list)
        for flow in state.of(Flow).values():
            self._tables[flow.bridge, flow.table].append(flow)
        for flows in self._tables.values():
            flows.sort(key=lambda flow: -flow.priority)
        self._outcome = Outcome()

    def send(self, in_port: str, packet: Packet) -> Outcome:
        """Put a packet in at a port of the plan, or at a bridge's own port.

        Raises:
            KeyError: there is no such port.
            ValueError: a flow says something that this simulator does not know.
        """
        self._outcome = Outcome()
        bridge = self._ports[in_port].bridge if in_port in self._ports else in_port
        if bridge not in self._by_bridge:
            raise KeyError(in_port)
        self._run_table(_Frame(bridge, in_port, packet, _entering(packet.fields())), 0)
        return self._outcome

    # Lookup

    def _run_table(self, frame: _Frame, table: int) -> None:
        flow = self._lookup(frame, table)
        if flow is None:
            return
        self._outcome.path.append(flow)
        if len(self._outcome.path) > MAX_RESUBMITS:
            raise ValueError(f"flows go round in circles: {flow}")
        for action in split(flow.actions):
            self._act(frame, action, flow)

    def _lookup(self, frame: _Frame, table: int) -> Flow | None:
        """The flow of the highest priority that matches; a conjunction counts when all its clauses are met."""
        clauses: dict[int, set[str]] = defaultdict(set)
        priority = -1
        for flow in self._tables[frame.bridge, table]:
            if flow.priority != priority:
                clauses.clear()
                priority = flow.priority
            if not parse(flow.match).meets(frame.in_port, frame.fields):
                continue
            if not flow.actions.startswith("conjunction("):
                return flow
            for number, part, of in _clauses(flow.actions):
                clauses[number].add(part)
                if len(clauses[number]) == of:
                    whole = self._conjunction(frame, table, priority, number)
                    if whole:
                        self._outcome.path.append(flow)
                        return whole
        return None

    def _conjunction(self, frame: _Frame, table: int, priority: int, number: int) -> Flow | None:
        fields = frame.fields | {"conj_id": number}
        for flow in self._tables[frame.bridge, table]:
            candidate = flow.priority == priority and "conj_id=" in flow.match
            if candidate and parse(flow.match).meets(frame.in_port, fields):
                return flow
        return None

    # Actions

    def _act(self, frame: _Frame, action: str, flow: Flow) -> None:
        verb, _, rest = action.partition(":")
        if action == "NORMAL":
            self._normal(frame)
        elif action.startswith("resubmit(,"):
            self._run_table(frame, int(action[10:-1]))
        elif action.startswith("ct("):
            self._track(frame, action[3:-1])
        elif action.startswith("learn("):
            self._learn(frame, action[6:-1])
        elif verb == "output":
            self._output(frame, rest)
        elif action == "in_port":
            self._output(frame, frame.in_port, back=True)
        elif action != "drop" and not _rewrite(frame.fields, action):
            raise ValueError(f"action {action} of {flow} is not known")

    def _output(self, frame: _Frame, name: str, *, back: bool = False) -> None:
        """Out of a port as the frame is; through a patch into the other bridge, where its registers are gone.

        Only ``in_port`` sends a frame back where it came from.
        """
        if name == frame.in_port and not back:
            return
        port = self._ports.get(name)
        if port and port.kind == "patch":
            peer = self._ports[dict(port.options)["peer"]]
            self._run_table(_Frame(peer.bridge, peer.name, frame.packet, _entering(frame.fields)), 0)
            return
        tci = frame.fields["vlan_tci"]
        vlan = tci & 0xFFF if tci & TAGGED else None
        self._outcome.outputs.append(
            Output(frame.bridge, name, vlan, frame.fields["tun_id"], frame.packet.changed(frame.fields))
        )

    def _normal(self, frame: _Frame) -> None:
        """A learning switch with VLANs."""
        vlan = self._vlan_in(frame)
        if vlan is None:
            return
        source, destination = frame.fields["dl_src"], frame.fields["dl_dst"]
        if not source & GROUP_BIT:
            self.learned[frame.bridge, vlan, source] = frame.in_port
        known = None if destination & GROUP_BIT else self.learned.get((frame.bridge, vlan, destination))
        for name in sorted(self._by_bridge[frame.bridge]) if known is None else [known]:
            tag = self._tag_out(name, vlan)
            if tag is not None:
                copy = frame.copy()
                copy.fields["vlan_tci"] = tag
                self._output(copy, name)

    def _vlan_in(self, frame: _Frame) -> int | None:
        """VLAN of a frame at its port; None when it may not come in there."""
        port, tci = self._ports.get(frame.in_port), frame.fields["vlan_tci"]
        vlan = tci & 0xFFF
        if port and port.tag is not None and port.vlan_mode in ("", "access"):
            return port.tag if not vlan else None
        return vlan if not port or not port.trunks or vlan in port.trunks else None

    def _tag_out(self, name: str, vlan: int) -> int | None:
        """``vlan_tci`` of a frame of a VLAN at a port; None when the port does not belong to it."""
        port = self._ports.get(name)
        if port and port.tag is not None and port.vlan_mode in ("", "access"):
            return 0 if port.tag == vlan else None
        if port and port.trunks and vlan not in port.trunks:
            return None
        return TAGGED | vlan if vlan else 0

    def _track(self, frame: _Frame, arguments: str) -> None:
        options = dict(word.partition("=")[::2] for word in split(arguments))
        zone = _get(frame.fields, options["zone"]) & 0xFFFF if "zone" in options else 0
        if "commit" in options:
            execute = next((word for word in split(arguments) if word.startswith("exec(")), "")
            mark = int(execute[len("exec(load:") :].partition("->")[0], 0) if execute else None
            self.connections.commit(frame.packet, zone, mark)
        if "table" in options:
            state, mark = self.connections.look(frame.packet, zone)
            self._outcome.tracked.append(state)
            again = frame.copy()
            again.fields |= {"ct_state": state, "ct_mark": mark, "ct_zone": zone}
            self._run_table(again, int(options["table"]))
            # What tracking found holds in the tables after the recirculation, not in the actions after it.
            frame.fields |= UNTRACKED

    def _learn(self, frame: _Frame, arguments: str) -> None:
        """Make the flow that a learn action describes."""
        table, priority, matches, actions = 0, 32768, [], []
        for word in split(arguments):
            name, _, value = word.partition("=")
            if name == "table":
                table = int(value)
            elif name == "priority":
                priority = int(value)
            elif word.startswith("load:"):
                source, _, destination = word[5:].partition("->")
                number = frame.fields[FIELDS[source]] if source in FIELDS else int(source, 0)
                actions.append(f"load:{number:#x}->{destination}")
            elif word.startswith("output:"):
                actions.append(f"output:{frame.in_port}")
            elif name in FIELDS:
                matches.append(_learned(name, frame.fields[FIELDS[value or name]]))
        flow = Flow(
            bridge=frame.bridge,
            table=table,
            priority=priority,
            match=",".join(matches),
            actions=",".join(actions),
            origin="learned",
        )
        flows = [known for known in self._tables[frame.bridge, table] if known.key != flow.key]
        self._tables[frame.bridge, table] = sorted([flow, *flows], key=lambda flow: -flow.priority)


def split(text: str) -> Iterator[str]:
    """The parts of a list at its commas, except inside parentheses."""
    depth, start = 0, 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _clauses(actions: str) -> Iterator[tuple[int, str, int]]:
    """(number, clause, how many) of each conjunction."""
    for action in split(actions):
        number, _, clause = action[len("conjunction(") : -1].partition(",")
        part, _, of = clause.partition("/")
        yield int(number), part, int(of)


def _entering(fields: Fields) -> Fields:
    """Fields of a frame that comes into a bridge: no registers, not tracked."""
    kept = {name: value for name, value in fields.items() if not name.startswith(("reg", "ct_", "conj_"))}
    return kept | {f"reg{number}": 0 for number in range(16)} | UNTRACKED


def _register(text: str) -> str:
    return "reg" + text.removeprefix("NXM_NX_REG").partition("[")[0]


def _get(fields: Fields, text: str) -> int:
    return fields[_register(text)] if text.startswith("NXM_NX_REG") else int(text, 0)


def _field(text: str) -> str:
    """Name of a field, whatever an action calls it."""
    return FIELDS.get(text) or (_register(text) if text.startswith("NXM_NX_REG") else text)


def _rewrite(fields: Fields, action: str) -> bool:
    """Change fields as an action says; False when that is not what it does."""
    verb, _, rest = action.partition(":")
    value, _, destination = rest.rpartition("->")
    if verb == "load":
        fields[_field(destination)] = int(value, 0)
    elif verb == "move":
        fields[_field(destination)] = fields[_field(value)]
    elif verb == "set_field":
        fields[_field(destination)] = value_of(destination, value)
    elif verb == "mod_dl_src":
        fields["dl_src"] = value_of("dl_src", rest)
    elif verb == "mod_vlan_vid":
        fields["vlan_tci"] = TAGGED | int(rest)
    elif action == "strip_vlan":
        fields["vlan_tci"] = 0
    else:
        return False
    return True


def _learned(name: str, value: int) -> str:
    if name.startswith("NXM_OF_VLAN_TCI"):
        return f"vlan_tci={value & 0xFFF:#x}/0xfff"
    return f"{FIELDS[name]}={mac_text(value)}"
