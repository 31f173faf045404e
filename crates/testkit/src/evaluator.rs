//! An evaluator whose "scripts" are verdicts, so that the engine can be tested without JavaScript.
//!
//! | script                | verdict |
//! |-----------------------|---------|
//! | `stop`                | stop |
//! | `next NAME`           | the action NAME with `{"event": …, "actionData": …}` |
//! | `next NAME {…}`       | the action NAME with this input |
//! | `change {…} next NAME`| as `next NAME`, and the event becomes `{…}` |
//! | `lists NAME`          | the action NAME with `{"lists": …}`, as the call brought them |
//! | `fail TEXT`           | an error of the script |
//! | `hang`                | a limit of the sandbox |
//! | `quarantined`         | a script that may run again in ten minutes |
//!
//! A line `log TEXT` before it is console output.

use async_trait::async_trait;
use conche_core::Json;
use conche_core::json::Limits;
use conche_core::run::{LogLevel, LogLine, Verdict};
use conche_engine::{Evaluated, Evaluation, EvaluationError, Evaluator, SyntaxFault};

/// See the table of the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScriptedEvaluator;

fn script_error(message: impl Into<String>, logs: Vec<LogLine>) -> EvaluationError {
    EvaluationError::Script {
        message: message.into(),
        logs,
    }
}

fn json(text: &str) -> Result<Json, EvaluationError> {
    Json::parse(text.trim().as_bytes(), Limits::default())
        .map_err(|error| script_error(error.to_string(), Vec::new()))
}

#[async_trait]
impl Evaluator for ScriptedEvaluator {
    async fn evaluate(&self, call: Evaluation) -> Result<Evaluated, EvaluationError> {
        let (mut logs, mut last) = (Vec::new(), "stop");
        for line in call
            .script
            .source
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            match line.strip_prefix("log ") {
                Some(text) => logs.push(LogLine {
                    level: LogLevel::Info,
                    text: text.to_owned(),
                }),
                None => last = line,
            }
        }
        let (event, rest) = match last.strip_prefix("change ") {
            Some(rest) => {
                let (changed, rest) = rest
                    .split_once(" next ")
                    .ok_or_else(|| script_error("no verdict", Vec::new()))?;
                (Some(json(changed)?), format!("next {rest}"))
            }
            None => (None, last.to_owned()),
        };
        let (word, argument) = rest.split_once(' ').unwrap_or((&rest, ""));
        let verdict = match word {
            "stop" => Verdict::Stop,
            "next" => {
                let (name, data) = argument.split_once(' ').unwrap_or((argument, ""));
                let data = if data.is_empty() {
                    let seen = event.as_ref().unwrap_or(&call.event);
                    let action_data = call.action_data.as_ref().map_or("{}", |data| data.as_str());
                    json(&format!(r#"{{"event":{seen},"actionData":{action_data}}}"#))?
                } else {
                    json(data)?
                };
                Verdict::Next {
                    action: name.to_owned(),
                    data,
                }
            }
            "lists" => {
                let lists = call.lists.as_ref().map_or("null", Json::as_str);
                Verdict::Next {
                    action: argument.to_owned(),
                    data: json(&format!(r#"{{"lists":{lists}}}"#))?,
                }
            }
            "fail" => return Err(script_error(argument, logs)),
            "hang" => {
                return Err(EvaluationError::Limit {
                    message: "the script ran longer than it may".to_owned(),
                    logs,
                });
            }
            "quarantined" => {
                return Err(EvaluationError::Quarantined {
                    message: "the script cost too many workers".to_owned(),
                    remaining: std::time::Duration::from_mins(10),
                });
            }
            other => return Err(script_error(format!("'{other}' is not a verdict"), logs)),
        };
        Ok(Evaluated {
            verdict,
            event,
            logs,
        })
    }

    async fn check(&self, source: &str) -> Result<(), SyntaxFault> {
        for (line, text) in (1..).zip(source.lines()) {
            if let Some(before) = text.find("syntax error") {
                return Err(SyntaxFault {
                    at: Some((line, before as u32 + 1)),
                    message: "syntax error".to_owned(),
                });
            }
        }
        Ok(())
    }
}
