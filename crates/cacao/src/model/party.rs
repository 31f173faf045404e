//! Agents and targets (§7), and their credentials (§6).

use serde_json::Value;

use super::{Dictionary, Other};

object! {
    /// An agent or a target of any type: see [`crate::shape::AGENT_TARGET`].
    Party {
        kind = "type": String,
        name: String,
    } optional {
        description: String,
        location: CivicLocation,
        contact: Contact,
        logical: Vec<String>,
        sector: String,
        address: Address,
        port: String,
        authentication_info: String,
        category: Vec<String>,
        agent_target_extensions: Other,
    }
}

object! {
    /// Where something is on the network: see [`crate::shape::ADDRESS`].
    Address {
    } optional {
        dname: Vec<String>,
        ipv4: Vec<String>,
        ipv6: Vec<String>,
        l2mac: Vec<String>,
        vlan: Vec<Value>,
        url: Vec<String>,
    }
}

object! {
    /// How to reach somebody: see [`crate::shape::CONTACT`].
    Contact {
    } optional {
        email: Dictionary<String>,
        phone: Dictionary<String>,
        contact_details: String,
    }
}

object! {
    /// A place on earth: see [`crate::shape::CIVIC_LOCATION`].
    CivicLocation {
    } optional {
        name: String,
        description: String,
        building_details: String,
        network_details: String,
        region: String,
        country: String,
        administrative_area: String,
        city: String,
        street_address: String,
        postal_code: String,
        latitude: String,
        longitude: String,
        precision: String,
    }
}

object! {
    /// Credentials of any type: see [`crate::shape::AUTHENTICATION_INFO`].
    AuthenticationInfo {
        kind = "type": String,
    } optional {
        name: String,
        description: String,
        user_id: String,
        username: String,
        password: String,
        oauth_header: String,
        token: String,
        private_key: String,
        kms: bool,
        kms_key_identifier: String,
        authentication_info_extensions: Other,
    }
}
