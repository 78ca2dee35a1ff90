"""bandmark devices: list the devices with the peak of their memory and its source."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from bandmark.backends.discovery import discover
from bandmark.device.device import Device
from bandmark.device.dimms import read_dimms
from bandmark.device.machine import read_machine
from bandmark.device.peaks import Peak, find_peak
from bandmark.errors import EXIT_OK
from bandmark.results.reading import JsonObject
from bandmark.units import format_bytes, json_text

_UNREAD = {
    "memory_bytes": "memory",
    "llc_bytes": "last-level cache",
    "bus_width_bits": "bus width",
    "memory_clock_mhz": "memory clock",
    "compute_capability": "compute capability",
    "sm_count": "multiprocessors",
}
"""Facts of a GPU, and their names where a driver does not report them."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def execute(arguments: argparse.Namespace) -> int:
    """Print each device with its memory, caches and peaks."""
    machine = read_machine()
    discovery = discover()
    entries = [_entry("cpu", machine.as_device(), read_dimms())]
    entries += [_entry(a.address, a.device, None) for a in discovery.accelerators]
    if arguments.json:
        print(json_text({"devices": entries, "problems": discovery.problems}))
        return EXIT_OK
    for entry in entries:
        print(_describe(entry))
    for name, problem in discovery.problems.items():
        print(f"{name}: {problem}")
    return EXIT_OK


def _entry(address: str, device: Device, firmware: Peak | None) -> JsonObject:
    """Return what is known of a device, as --json prints it."""
    peak = find_peak(device, firmware=firmware)
    facts = asdict(device)
    not_read = [label for name, label in _UNREAD.items() if facts[name] is None and _applies(device, name)]
    return {"address": address, "device": facts, "peak": asdict(peak), "not_read": not_read}


def _applies(device: Device, fact: str) -> bool:
    """Return whether this kind of device has a fact at all."""
    return device.kind == "gpu" or fact in ("memory_bytes", "llc_bytes")


def _describe(entry: JsonObject) -> str:
    """Return the lines on a device."""
    device, peak = entry["device"], entry["peak"]
    lines = [f"{entry['address']}: {device['name']}"]
    if device["memory_bytes"]:
        shared = ", shared with the system" if device["integrated"] else ""
        lines.append(f"  memory            {format_bytes(device['memory_bytes'])}{shared}")
    if device["llc_bytes"]:
        lines.append(f"  last-level cache  {format_bytes(device['llc_bytes'])}")
    lines.append(
        f"  peak              {peak['gbs']:g} GB/s ({peak['source']})" if peak["gbs"] else "  peak              unknown"
    )
    if peak["derived_gbs"]:
        lines.append(f"  derived peak      {peak['derived_gbs']:.1f} GB/s (2 x memory clock x bus width / 8)")
    lines.append(f"                    {peak['explanation']}")
    if entry["not_read"]:
        lines.append(f"  not readable      {', '.join(entry['not_read'])}")
    return "\n".join(lines)
