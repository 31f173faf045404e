//! The parts of a document by name, so that a fault can be said in a line.

use serde_json::{Map, Value, json};

/// The UUID of what a fault adds.
pub(super) const NEW: &str = "0b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b10";

/// The extension of the sound document.
pub(super) const TICKETS: &str = "extension-definition--6bf46c69-7d2c-4f82-aeea-cbe226e87555";

/// The document with names for its parts, so that a fault can be said in a line.
pub(super) struct Parts(pub(super) Value);

impl Parts {
    pub(super) fn top(&mut self) -> &mut Map<String, Value> {
        self.0.as_object_mut().expect("an object")
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.top().insert(name.to_owned(), value);
    }

    pub(super) fn within(&mut self, dictionary: &str) -> &mut Map<String, Value> {
        self.0[dictionary].as_object_mut().expect("a dictionary")
    }

    /// The identifier of the step with a name, or of the n-th of a type.
    pub(super) fn id(&self, what: &str) -> String {
        let workflow = self.0["workflow"].as_object().expect("a workflow");
        let named = workflow.iter().find(|(_, step)| step["name"] == what);
        let start = || workflow.iter().find(|(_, step)| step["type"] == what);
        let (id, _) = named.or_else(start).expect(what);
        id.clone()
    }

    pub(super) fn step(&mut self, what: &str) -> &mut Map<String, Value> {
        let id = self.id(what);
        self.0["workflow"][&id].as_object_mut().expect("a step")
    }

    pub(super) fn command(&mut self, step: &str) -> &mut Map<String, Value> {
        let commands = self.step(step).get_mut("commands").expect("commands");
        commands[0].as_object_mut().expect("a command")
    }

    /// An agent by its name.
    pub(super) fn agent(&mut self, name: &str) -> &mut Map<String, Value> {
        let agents = self.within("agent_definitions");
        let found = agents.values_mut().find(|agent| agent["name"] == name);
        found.expect(name).as_object_mut().expect("an agent")
    }

    pub(super) fn credentials(&mut self, name: &str) -> &mut Map<String, Value> {
        let all = self.within("authentication_info_definitions");
        let found = all.values_mut().find(|info| info["name"] == name);
        found.expect(name).as_object_mut().expect("credentials")
    }

    pub(super) fn summary(&mut self, name: &str, so: bool) {
        self.0["playbook_processing_summary"][name] = so.into();
    }

    /// Adds a step, and gives its identifier.
    pub(super) fn add(&mut self, id: &str, step: Value) -> String {
        self.within("workflow").insert(id.to_owned(), step);
        id.to_owned()
    }

    /// The identifier that a step has under a key.
    pub(super) fn next(&mut self, step: &str, key: &str) -> Value {
        self.step(step)[key].clone()
    }

    pub(super) fn declare(&mut self, name: &str, variable: Value) {
        self.within("playbook_variables")
            .insert(name.to_owned(), variable);
    }

    /// What stands in a step's extension for tickets.
    pub(super) fn tickets(&mut self, step: &str) -> &mut Value {
        let extensions = self.step(step).get_mut("step_extensions");
        let extension = extensions.and_then(|extensions| extensions.get_mut(TICKETS));
        extension.expect("an extension")
    }

    /// Takes out the handler of exceptions, and that there is one.
    pub(super) fn without_exception(&mut self) {
        self.top().remove("workflow_exception");
        let handler = self.id("Say that it failed");
        let end = self.next("Say that it failed", "on_completion");
        let workflow = self.within("workflow");
        workflow.remove(&handler);
        workflow.remove(end.as_str().expect("an identifier"));
    }

    /// Adds a signature with some properties of its own.
    pub(super) fn sign(&mut self, own: Value) {
        let mut signature = json!({
            "type": "jss", "id": format!("jss--{NEW}"), "signee": "somebody",
            "created": "2026-03-02T10:00:00.000Z", "modified": "2026-03-02T10:00:00.000Z",
            "related_to": self.0["id"], "related_version": self.0["modified"],
            "hash_algorithm": "sha-256", "algorithm": "ES256", "value": "eA",
        });
        for (name, value) in object(own) {
            signature[name] = value;
        }
        self.set("signatures", json!([signature]));
        self.summary("digital_signatures", true);
    }

    /// Gives a step a layout with lines.
    pub(super) fn layout(&mut self, lines: Value) {
        const LAYOUT: &str = "extension-definition--418ee24c-9cb1-46d9-afa5-309e01aabc7f";
        let by = self.0["created_by"].clone();
        let definition = json!({"type": "extension-definition", "name": "CACAO Layout", "created_by": by, "schema": "https://example.org/layout.json", "version": "1.0.0"});
        self.within("extension_definitions")
            .insert(LAYOUT.into(), definition);
        let layout = json!({"type": "layout", "coordinates": {"x": 1, "y": 1, "outgoing_connections": lines}});
        self.step("How severe is it?")
            .insert("step_extensions".into(), json!({LAYOUT: layout}));
    }

    /// Gives a member of a dictionary another key, wherever it is named.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let text = self.0.to_string().replace(from, to);
        self.0 = serde_json::from_str(&text).expect("JSON");
    }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}
