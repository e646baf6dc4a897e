"""How the toy family knows its files. No torch: the host does this."""

from __future__ import annotations

from gesso import Match, Rename


def detect(header):
    return [Match(family="toy", variant="")] if "toy.net" in header.tensors else []


def config(header, match):
    return {}


def net_plan(header, match, config):
    return (Rename(target="weight", source="toy.net"),)


def vae_plan(header, match, config):
    return (Rename(target="weight", source="toy.vae"),)
