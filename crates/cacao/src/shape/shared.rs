//! Objects that several others hold: external references, contacts, civic locations.

use super::Shape::{Dictionary, Text, Word};
use super::{Names, Object, optional, required};
use crate::vocabulary;

/// A reference to something outside of CACAO.
pub static EXTERNAL_REFERENCE: Object = Object {
    name: "external-reference",
    section: "10.9",
    properties: &[
        required("name", Text, "The author or title of what is referred to."),
        optional("description", Text, "What it is."),
        optional("source", Text, "How to cite it."),
        optional("url", Text, "Where it is."),
        optional("external_id", Text, "What others call it."),
        optional(
            "reference_id",
            Text,
            "Its identifier, such as that of a STIX object.",
        ),
    ],
};

/// How to reach somebody.
pub static CONTACT: Object = Object {
    name: "contact",
    section: "10.5",
    properties: &[
        optional(
            "email",
            Dictionary(Names::Keys, 0, &Text),
            "Addresses of mail by their use.",
        ),
        optional(
            "phone",
            Dictionary(Names::Keys, 0, &Text),
            "Telephone numbers by their use.",
        ),
        optional("contact_details", Text, "Other ways."),
    ],
};

/// A place on earth.
pub static CIVIC_LOCATION: Object = Object {
    name: "civic-location",
    section: "10.4",
    properties: &[
        optional("name", Text, "What the place is called."),
        optional("description", Text, "What it is."),
        optional("building_details", Text, "Where within the building."),
        optional("network_details", Text, "Where within the network."),
        optional(
            "region",
            Word(&vocabulary::REGION),
            "The region of the world.",
        ),
        optional("country", Text, "The country, by ISO 3166-1 alpha-2."),
        optional(
            "administrative_area",
            Text,
            "State or province, by ISO 3166-2 where it has a code.",
        ),
        optional("city", Text, "The city."),
        optional("street_address", Text, "Street and number."),
        optional("postal_code", Text, "The postal code."),
        optional(
            "latitude",
            Text,
            "Degrees north, above -90 up to 90; with `longitude` only.",
        ),
        optional(
            "longitude",
            Text,
            "Degrees east, above -180 up to 180; with `latitude` only.",
        ),
        optional("precision", Text, "Metres around latitude and longitude."),
    ],
};
