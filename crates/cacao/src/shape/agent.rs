//! Agents and targets (§7): one kind of object for both.

use super::Shape::{Any, Dictionary, Identifier, List, Text, Word};
use super::{CIVIC_LOCATION, CONTACT, Family, Names, Object, Property, Shape, optional, required};
use crate::vocabulary;

/// Agents and targets.
pub static AGENT_TARGET: Family = Family {
    name: "agent-target",
    types: &vocabulary::AGENT_TARGET_TYPE,
    common: &COMMON,
    own: &[
        ("group", &REACHED),
        ("individual", &REACHED),
        ("organization", &REACHED),
        ("location", &LOCATION),
        ("sector", &SECTOR),
        ("http-api", &WITH_PORT),
        ("linux", &WITH_PORT),
        ("ssh", &WITH_PORT),
        ("net-address", &NET_ADDRESS),
        ("security-category", &SECURITY_CATEGORY),
    ],
};

/// Where a device is on the network. `vlan` is a list of text in the prose and of numbers in
/// the schema; both are read.
pub static ADDRESS: Object = Object {
    name: "network-address",
    section: "7",
    properties: &[
        optional("dname", List(1, &Text), "Domain names."),
        optional("ipv4", List(1, &Text), "IPv4 addresses."),
        optional("ipv6", List(1, &Text), "IPv6 addresses."),
        optional("l2mac", List(1, &Text), "MAC addresses."),
        optional("vlan", List(1, &Any), "VLAN numbers."),
        optional("url", List(1, &Text), "URLs."),
    ],
};

static COMMON: Object = Object {
    name: "agent-target",
    section: "7.1",
    properties: &[
        required(
            "type",
            Word(&vocabulary::AGENT_TARGET_TYPE),
            "What kind of agent or target it is.",
        ),
        required("name", Text, "What people call it."),
        optional("description", Text, "What it is."),
        optional(
            "location",
            Shape::Object(&CIVIC_LOCATION),
            "Where on earth it is.",
        ),
        optional(
            "agent_target_extensions",
            Dictionary(Names::Identifiers, 1, &Any),
            "Extensions of it.",
        ),
    ],
};

const ADDRESS_PROPERTY: Property = required(
    "address",
    Shape::Object(&ADDRESS),
    "Where it is on the network.",
);
const PORT: Property = optional("port", Text, "The port, as text.");
const AUTHENTICATION: Property = optional(
    "authentication_info",
    Identifier(&[]),
    "The credentials to use.",
);
static CATEGORIES: Shape = Word(&vocabulary::SECURITY_CATEGORY);
const CATEGORY: Property = optional(
    "category",
    List(1, &CATEGORIES),
    "What it does for security.",
);

static REACHED: Object = Object {
    name: "somebody who can be reached",
    section: "7",
    properties: &[optional(
        "contact",
        Shape::Object(&CONTACT),
        "How to reach them.",
    )],
};

static LOCATION: Object = Object {
    name: "location",
    section: "7",
    properties: &[optional(
        "logical",
        List(1, &Text),
        "Where it is in other terms: a closet, a segment, a room.",
    )],
};

static SECTOR: Object = Object {
    name: "sector",
    section: "7.7",
    properties: &[required(
        "sector",
        Word(&vocabulary::INDUSTRY_SECTOR),
        "Which sector.",
    )],
};

static WITH_PORT: Object = Object {
    name: "device with a port",
    section: "7",
    properties: &[ADDRESS_PROPERTY, PORT, AUTHENTICATION, CATEGORY],
};

static NET_ADDRESS: Object = Object {
    name: "net-address",
    section: "7",
    properties: &[ADDRESS_PROPERTY, AUTHENTICATION, CATEGORY],
};

static SECURITY_CATEGORY: Object = Object {
    name: "security-category",
    section: "7.11",
    properties: &[required(
        "category",
        List(1, &Word(&vocabulary::SECURITY_CATEGORY)),
        "What such a device does for security.",
    )],
};
