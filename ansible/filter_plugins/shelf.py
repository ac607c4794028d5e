"""What the playbooks ask of an inventory, and TOML."""

import ipaddress
import json

from ansible.errors import AnsibleFilterError


def shelf_addresses(hosts, hostvars):
    """Name and address of each host. Addresses and not names: the firewall needs them before anything resolves."""
    found = {}
    for host in hosts:
        known = hostvars[host]
        address = str(known.get("tickberry_address") or known.get("ansible_host") or host)
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise AnsibleFilterError(
                f"{host} is at {address!r}, which is no IP address; give it a fixed one in the inventory: "
                "ansible_host: 192.168.1.11, or tickberry_address: 192.168.1.11 where ansible_host has to be a name"
            ) from None
        found[host] = address
    return found


def in_networks(address, networks):
    """Whether one of the networks holds the address."""
    one = ipaddress.ip_address(str(address).split("%", maxsplit=1)[0])
    nets = [ipaddress.ip_network(str(net), strict=False) for net in networks]
    return any(one.version == net.version and one in net for net in nets)


def to_toml(tables):
    """TOML of nested dictionaries; a value that is None is left out."""
    lines = []

    def value(of):
        if isinstance(of, bool):
            return "true" if of else "false"
        if isinstance(of, (int, float)):
            return repr(of)
        if isinstance(of, (list, tuple)):
            return "[" + ", ".join(value(one) for one in of) + "]"
        # A JSON string is a TOML string, but for the escaped pairs of JSON: so no escapes but the necessary ones.
        return json.dumps(str(of), ensure_ascii=False)

    def table(name, of):
        plain = {key: one for key, one in of.items() if not isinstance(one, dict) and one is not None}
        if name and plain:
            lines.append(f"\n[{name}]")
        lines.extend(f"{key} = {value(one)}" for key, one in plain.items())
        for key, one in of.items():
            if isinstance(one, dict):
                table(f"{name}.{key}" if name else key, one)

    table("", tables)
    return "\n".join(lines).lstrip("\n") + "\n"


def said(hosts, hostvars):
    """What files/verify.py printed on each host; one that printed nothing does not answer."""
    rows = []
    for host in hosts:
        result = hostvars[host].get("verify_said") or {}
        try:
            of_host = json.loads(result.get("stdout") or "")
        except ValueError:
            why = str(result.get("stderr") or "").strip().splitlines()[-1:] or ["`ssh` to it says more: power, network, key"]
            of_host = [{"ok": False, "part": "host", "finding": f"does not answer: {why[0]}"}]
        rows += [{"host": host, **row} for row in of_host]
    return rows


def table(rows):
    """Lines of ok or FAIL, host, part and finding, in columns."""
    wide = [max(len(row[key]) for row in rows) for key in ("host", "part")]
    return [f"{'ok  ' if row['ok'] else 'FAIL'}  {row['host']:<{wide[0]}}  {row['part']:<{wide[1]}}  {row['finding']}" for row in rows]


class FilterModule:
    """Registers the filters."""

    def filters(self):
        """Their names."""
        return {
            "shelf_addresses": shelf_addresses,
            "in_networks": in_networks,
            "to_toml": to_toml,
            "said": said,
            "table": table,
        }
