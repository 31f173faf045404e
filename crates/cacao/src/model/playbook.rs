//! The playbook (§3), its processing summary, and references to what is outside.

use super::{
    AuthenticationInfo, Dictionary, ExtensionDefinition, Marking, Other, Party, Signature, Step,
    Variable,
};

object! {
    /// A playbook: see [`crate::shape::PLAYBOOK`] for what each property means.
    Playbook {
        kind = "type": String,
        spec_version: String,
        id: String,
        name: String,
        created_by: String,
        created: String,
        modified: String,
        workflow_start: String,
        workflow: Dictionary<Step>,
    } optional {
        description: String,
        playbook_types: Vec<String>,
        playbook_activities: Vec<String>,
        playbook_processing_summary: ProcessingSummary,
        revoked: bool,
        valid_from: String,
        valid_until: String,
        derived_from: Vec<String>,
        related_to: Vec<String>,
        priority: u8,
        severity: u8,
        impact: u8,
        industry_sectors: Vec<String>,
        labels: Vec<String>,
        external_references: Vec<ExternalReference>,
        markings: Vec<String>,
        playbook_variables: Dictionary<Variable>,
        workflow_exception: String,
        playbook_extensions: Other,
        authentication_info_definitions: Dictionary<AuthenticationInfo>,
        agent_definitions: Dictionary<Party>,
        target_definitions: Dictionary<Party>,
        extension_definitions: Dictionary<ExtensionDefinition>,
        data_marking_definitions: Dictionary<Marking>,
        signatures: Vec<Signature>,
    }
}

object! {
    /// What a playbook says of itself: see [`crate::shape::PROCESSING_SUMMARY`].
    ProcessingSummary {
    } optional {
        manual_playbook: bool,
        external_playbooks: bool,
        parallel_processing: bool,
        if_logic: bool,
        while_logic: bool,
        switch_logic: bool,
        temporal_logic: bool,
        data_markings: bool,
        digital_signatures: bool,
        countersigned_signatures: bool,
        extensions: bool,
    }
}

object! {
    /// A reference to something outside of CACAO: see [`crate::shape::EXTERNAL_REFERENCE`].
    ExternalReference {
        name: String,
    } optional {
        description: String,
        source: String,
        url: String,
        external_id: String,
        reference_id: String,
    }
}
