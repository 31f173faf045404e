//! One reaction file under examination.

use std::path::Path;

use conche_api::words;
use conche_core::place;
use conche_core::reaction::{self, Authored, Format, Reaction};
use conche_engine::Filter;
use conche_modules::actions;
use conche_script::Sandbox;
use serde_json::Value;

use super::{Finding, Measure, Severity, filter, playbook};
use crate::config::{self, Fault, Key, Place};
use crate::failure::Failure;
use crate::input;

/// A file under examination.
pub(super) struct File<'a> {
    path: &'a Path,
    text: String,
    findings: Vec<Finding>,
}

impl<'a> File<'a> {
    /// Reads the file. That it can't be read is the one finding about it then.
    pub(super) fn read(path: &'a Path) -> Self {
        let mut file = Self {
            path,
            text: String::new(),
            findings: Vec::new(),
        };
        match input::text(path) {
            Ok(text) => file.text = text,
            Err(error) => {
                file.error("unreadable", Place::top(), error.to_string());
            }
        }
        file
    }

    /// What it holds.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Everything that is to be said about it.
    pub(super) async fn examine(
        mut self,
        sandbox: &Sandbox,
        measure: &Measure,
    ) -> Result<Vec<Finding>, Failure> {
        if self.findings.is_empty() && playbook::is_meant(&self.text) {
            let file = self.path.display().to_string();
            return Ok(playbook::examine(&file, &self.text, measure));
        }
        if let Ok(value) = serde_json::from_str::<Value>(&self.text)
            && !value.is_object()
        {
            let message = "this is neither a reaction nor a playbook: those are objects";
            self.error("syntax", Place::top(), message.to_owned());
        }
        if self.findings.is_empty()
            && let Some(reaction) = self.reaction()
        {
            self.check(&reaction, sandbox).await?;
        }
        Ok(self.findings)
    }

    async fn check(&mut self, reaction: &Reaction, sandbox: &Sandbox) -> Result<(), Failure> {
        if let Some(when) = &reaction.when {
            self.check_filter(when);
        }
        self.check_script(sandbox, Place::top(), &reaction.script)
            .await?;
        for (name, action) in &reaction.actions {
            let place = Place::of(&["actions", name]);
            self.check_action(&place, action);
            self.check_script(sandbox, place, &action.script).await?;
        }
        Ok(())
    }

    /// The reaction, where the file holds one.
    fn reaction(&mut self) -> Option<Reaction> {
        let extension = self.path.extension().unwrap_or_default().to_string_lossy();
        // A file of another name is refused below.
        let format = Format::of_extension(&extension).unwrap_or(Format::Yaml);
        if let Err(reaction::Error::Syntax {
            line,
            column,
            message,
        }) = Authored::parse(&self.text, format)
        {
            let fault = Fault::from_message(&Place::top(), &message);
            let finding = self.error("syntax", Place::top(), fault.message().to_owned());
            finding.help = fault.help().map(str::to_owned);
            (finding.line, finding.column) = (Some(line), Some(column));
            return None;
        }
        match conche_engine::read_reaction(self.path) {
            Ok(reaction) => Some(reaction),
            Err(message) => {
                self.error("invalid", Place::top(), words::plain(&message));
                None
            }
        }
    }

    fn check_filter(&mut self, when: &str) {
        let place = Place::of(&["when"]);
        if let Err(error) = Filter::compile(when) {
            self.error("filter", place, words::plain(&error.to_string()));
            return;
        }
        for doubt in filter::doubts(when) {
            let finding = self.error("filter", place.clone(), doubt.message);
            finding.help = doubt.help;
            if !doubt.fails {
                finding.severity = Severity::Warning;
            }
        }
    }

    fn check_action(&mut self, place: &Place, action: &reaction::Action) {
        let modules: Vec<&str> = actions::ALL.iter().map(|module| module.name).collect();
        let module = actions::ALL
            .iter()
            .find(|module| module.name == action.module);
        let (key, word, known) = match module {
            None => ("module", &action.module, modules),
            Some(module) => {
                let names: Vec<&str> = module.actions.iter().map(|spec| spec.name).collect();
                if names.contains(&&*action.action) {
                    return;
                }
                ("action", &action.action, names)
            }
        };
        let help = match config::closest(word, &known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are: {}", known.join(", ")),
        };
        let code = if key == "module" {
            "unknown_module"
        } else {
            "unknown_action"
        };
        let message = format!("unknown {key} `{word}`");
        let finding = self.error(code, place.then(Key::named(key)), message);
        finding.severity = Severity::Warning;
        finding.help = Some(help);
    }

    async fn check_script(
        &mut self,
        sandbox: &Sandbox,
        around: Place,
        source: &str,
    ) -> Result<(), Failure> {
        let (line, column, message) = match sandbox.check(source).await {
            Ok(()) => return Ok(()),
            Err(conche_script::Error::Script {
                message,
                line,
                column,
                ..
            }) => (line.unwrap_or(1), column.unwrap_or(1), message),
            Err(error) => return Err(Failure::of("can't check a script", error)),
        };
        let message = format!("{message} (line {line}, column {column} of the script)");
        let inline = around.then(Key::named("script"));
        if let Some((line, column)) = place::within_block(&self.text, &inline, (line, column)) {
            let finding = self.error("script_syntax", inline, message);
            (finding.line, finding.column) = (Some(line), Some(column));
        } else if self.names_a_file(&around) {
            self.error(
                "script_syntax",
                around.then(Key::named("script_file")),
                message,
            );
        } else {
            self.error("script_syntax", inline, message);
        }
        Ok(())
    }

    fn names_a_file(&self, place: &Place) -> bool {
        let value: Result<Value, _> = serde_saphyr::from_str(&self.text);
        let pointer = place.then(Key::named("script_file")).pointer();
        value.is_ok_and(|value| value.pointer(&pointer).is_some())
    }

    /// Adds an error at a key.
    fn error(&mut self, code: &'static str, place: Place, message: String) -> &mut Finding {
        let at = config::find(&self.text, &place);
        self.findings.push(Finding {
            file: self.path.display().to_string(),
            code,
            severity: Severity::Error,
            pointer: place.pointer(),
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            message,
            help: None,
        });
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }
}
