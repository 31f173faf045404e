//! The vocabularies of CACAO 2.0: which words a property may hold.
//!
//! An open vocabulary (`-ov`) is a proposal: another word is legal, and perhaps a slip. A
//! closed one (`-enum`) is the whole of what there is.

/// The words that a property may hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Its name in the specification.
    pub name: &'static str,
    /// Whether other words are legal.
    pub open: bool,
    /// Its words, in the order of the specification.
    pub words: &'static [&'static str],
}

impl Vocabulary {
    /// Whether a word is one of its own.
    pub fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }
}

/// What a playbook is for (§3.1).
pub static PLAYBOOK_TYPE: Vocabulary = Vocabulary {
    name: "playbook-type-ov",
    open: true,
    words: &[
        "attack",
        "detection",
        "engagement",
        "investigation",
        "mitigation",
        "notification",
        "prevention",
        "remediation",
    ],
};

/// Sectors of industry (§7.7.1).
pub static INDUSTRY_SECTOR: Vocabulary = Vocabulary {
    name: "industry-sector-ov",
    open: true,
    words: &[
        "aerospace",
        "aviation",
        "agriculture",
        "automotive",
        "biotechnology",
        "chemical",
        "commercial",
        "consulting",
        "construction",
        "cosmetics",
        "critical-infrastructure",
        "dams",
        "defense",
        "education",
        "emergency-services",
        "energy",
        "non-renewable-energy",
        "renewable-energy",
        "media",
        "financial",
        "food",
        "gambling",
        "government",
        "local-government",
        "national-government",
        "regional-government",
        "public-services",
        "healthcare",
        "information-communications-technology",
        "electronics-hardware",
        "software",
        "telecommunications",
        "legal-services",
        "lodging",
        "manufacturing",
        "maritime",
        "metals",
        "mining",
        "non-profit",
        "humanitarian-aid",
        "human-rights",
        "nuclear",
        "petroleum",
        "pharmaceuticals",
        "research",
        "transportation",
        "logistics-shipping",
        "utilities",
        "video-game",
        "water",
    ],
};

/// Kinds of workflow steps (§4.2).
pub static STEP_TYPE: Vocabulary = Vocabulary {
    name: "workflow-step-type-enum",
    open: false,
    words: &[
        "start",
        "end",
        "action",
        "playbook-action",
        "parallel",
        "if-condition",
        "while-condition",
        "switch-condition",
    ],
};

/// Kinds of commands (§5.2).
pub static COMMAND_TYPE: Vocabulary = Vocabulary {
    name: "command-type-ov",
    open: true,
    words: &[
        "manual",
        "bash",
        "caldera-cmd",
        "elastic",
        "http-api",
        "jupyter",
        "kestrel",
        "openc2-http",
        "powershell",
        "sigma",
        "ssh",
        "yara",
    ],
};

/// Kinds of credentials (§6).
pub static AUTHENTICATION_INFO_TYPE: Vocabulary = Vocabulary {
    name: "authentication-info-type-ov",
    open: true,
    words: &["http-basic", "oauth2", "user-auth"],
};

/// Kinds of agents and targets (§7.2).
pub static AGENT_TARGET_TYPE: Vocabulary = Vocabulary {
    name: "agent-target-type-ov",
    open: true,
    words: &[
        "group",
        "individual",
        "location",
        "organization",
        "sector",
        "http-api",
        "linux",
        "net-address",
        "security-category",
        "ssh",
    ],
};

/// What an agent or target does for security (§7.11.1).
pub static SECURITY_CATEGORY: Vocabulary = Vocabulary {
    name: "security-category-type-ov",
    open: true,
    words: &[
        "aaa",
        "analytics",
        "caldera",
        "content-gateway",
        "desktop",
        "endpoint",
        "firewall",
        "handset",
        "ids",
        "ips",
        "kali",
        "manx",
        "orchestrator",
        "os-linux",
        "os-mac",
        "os-windows",
        "redcanary-atomicred",
        "ragdoll",
        "router",
        "sandcat",
        "server",
        "siem",
        "switch",
        "ticketing",
        "tip",
        "wireless",
    ],
};

/// Types of variables (§10.18.4).
pub static VARIABLE_TYPE: Vocabulary = Vocabulary {
    name: "variable-type-ov",
    open: true,
    words: &[
        "bool",
        "dictionary",
        "float",
        "hexstring",
        "integer",
        "ipv4-addr",
        "ipv6-addr",
        "long",
        "mac-addr",
        "hash",
        "md5-hash",
        "sha256-hash",
        "string",
        "uri",
        "uuid",
    ],
};

/// Signature algorithms (§10.15).
pub static SIGNATURE_ALGORITHM: Vocabulary = Vocabulary {
    name: "signature-algorithm-type-ov",
    open: true,
    words: &[
        "RS256",
        "RS384",
        "RS512",
        "ES256",
        "ES384",
        "ES512",
        "PS256",
        "PS384",
        "PS512",
        "Ed25519",
        "Ed448",
        "XMSS-SHA2_10_256",
        "XMSS-SHA2_16_256",
        "XMSS-SHA2_20_256",
        "LMS_SHA256_M32_H5",
        "LMS_SHA256_M32_H10",
        "LMS_SHA256_M32_H15",
        "LMS_SHA256_M32_H20",
        "LMS_SHA256_M32_H25",
    ],
};

/// Kinds of data markings (§9).
pub static MARKING_TYPE: Vocabulary = Vocabulary {
    name: "data-marking-type-enum",
    open: false,
    words: &["marking-statement", "marking-tlp", "marking-iep"],
};

/// Levels of the Traffic Light Protocol 2.0 (§9).
pub static TLP_LEVEL: Vocabulary = Vocabulary {
    name: "tlpv2-level-enum",
    open: false,
    words: &[
        "TLP:RED",
        "TLP:AMBER",
        "TLP:AMBER+STRICT",
        "TLP:GREEN",
        "TLP:CLEAR",
    ],
};

/// Regions of the world (§10.4).
pub static REGION: Vocabulary = Vocabulary {
    name: "region-enum",
    open: false,
    words: &[
        "africa",
        "eastern-africa",
        "middle-africa",
        "northern-africa",
        "southern-africa",
        "western-africa",
        "americas",
        "caribbean",
        "central-america",
        "latin-america-caribbean",
        "northern-america",
        "south-america",
        "asia",
        "central-asia",
        "eastern-asia",
        "southern-asia",
        "south-eastern-asia",
        "western-asia",
        "europe",
        "eastern-europe",
        "northern-europe",
        "southern-europe",
        "western-europe",
        "oceania",
        "antarctica",
        "australia-new-zealand",
        "melanesia",
        "micronesia",
        "polynesia",
    ],
};

/// What a step or a playbook does (§3.1); see [`ACTIVITIES`] for what goes with what.
pub static ACTIVITY: Vocabulary = Vocabulary {
    name: "playbook-activity-type-ov",
    open: true,
    words: &[
        "compose-content",
        "deliver-content",
        "identify-audience",
        "identify-channel",
        "scan-system",
        "match-indicator",
        "analyze-collected-data",
        "identify-indicators",
        "scan-vulnerabilities",
        "configure-systems",
        "restrict-access",
        "eliminate-risk",
        "revert-system",
        "restore-data",
        "restore-capabilities",
        "map-network",
        "identify-steps",
        "step-sequence",
        "prepare-engagement",
        "execute-operation",
        "analyze-engagement-results",
        "disconnect-system",
    ],
};

/// How firmly an activity belongs to a type of playbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// A playbook of the type must have it.
    Must,
    /// It should.
    Should,
    /// It may.
    May,
}

/// Which activities belong to which types of playbooks, and how firmly.
pub static ACTIVITIES: &[(&str, &str, Binding)] = &[
    ("compose-content", "notification", Binding::Must),
    ("deliver-content", "notification", Binding::Should),
    ("identify-audience", "notification", Binding::Should),
    ("identify-channel", "notification", Binding::Should),
    ("scan-system", "detection", Binding::Should),
    ("scan-system", "investigation", Binding::Should),
    ("scan-system", "mitigation", Binding::Should),
    ("match-indicator", "detection", Binding::Must),
    ("analyze-collected-data", "investigation", Binding::Should),
    ("identify-indicators", "investigation", Binding::Must),
    ("scan-vulnerabilities", "prevention", Binding::Should),
    ("scan-vulnerabilities", "attack", Binding::May),
    ("configure-systems", "prevention", Binding::Must),
    ("restrict-access", "mitigation", Binding::Should),
    ("eliminate-risk", "mitigation", Binding::Must),
    ("revert-system", "remediation", Binding::May),
    ("restore-data", "remediation", Binding::May),
    ("restore-capabilities", "remediation", Binding::Must),
    ("map-network", "attack", Binding::May),
    ("identify-steps", "attack", Binding::May),
    ("step-sequence", "attack", Binding::Must),
    ("prepare-engagement", "engagement", Binding::Must),
    ("execute-operation", "engagement", Binding::Must),
    ("analyze-engagement-results", "engagement", Binding::Must),
    ("disconnect-system", "mitigation", Binding::May),
];
