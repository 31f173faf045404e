//! Who logs in and how: a password or private key of the playbook, else a configured key or
//! those of an SSH agent.
//!
//! Secrets are read before a connection is made, so that one that is missing costs nothing, and
//! are sent only to a host whose key was checked. A refused login is final: repeating it could
//! lock the account.

use std::sync::Arc;

use conche_runtime::secrets::{Receiver, Secrets};
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, decode_secret_key};
use russh::{MethodKind, MethodSet};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::UnixStream;

use super::address::Endpoint;
use super::config::{Agent, Config};
use super::session::Witness;
use crate::action::Error;
use crate::command::Authentication;

/// A server that asks more often than this is not answered.
const ROUNDS_MAX: usize = 4;

/// More keys of an agent are not offered: servers count each as a failed try.
const AGENT_KEYS_MAX: usize = 5;

/// Ways to log in as one user, in the order in which they are tried.
pub(super) struct Login {
    pub(super) user: String,
    ways: Vec<Way>,
}

enum Way {
    Key(Arc<PrivateKey>),
    Password(SecretString),
    Agent(Agent),
}

impl Login {
    /// Chooses the ways and reads the secrets that they need, each of which must be for all of
    /// the `endpoints`: any of them may be the one that answers.
    pub(super) async fn prepare(
        config: &Config,
        given: Option<&Authentication>,
        endpoints: &[Endpoint],
        secrets: &Secrets,
    ) -> Result<Self, Error> {
        let to: Vec<Receiver> = endpoints.iter().map(Endpoint::receiver).collect();
        let named = endpoints.iter().find_map(|one| one.user.as_deref());
        let user = given.and_then(|given| given.user.as_deref());
        let user = user.or(named).or(config.user.as_deref());
        let user = user.filter(|user| !user.is_empty()).ok_or_else(|| {
            Error::permanent(
                "nobody is named to log in: give the target an authentication with a username, \
                 or write `user` in the configuration",
            )
        })?;
        let mut ways = Vec::new();
        let password = given.and_then(|given| given.password.as_ref());
        let private_key = given.and_then(|given| given.private_key.as_ref());
        if let Some(key) = private_key {
            // A password beside a key is its passphrase.
            let key = key.read(secrets, &to)?;
            let passphrase = password.map(|password| password.read(secrets, &to));
            ways.push(Way::Key(decode(key, passphrase.transpose()?).await?));
        } else if let Some(password) = password {
            ways.push(Way::Password(password.read(secrets, &to)?));
        } else {
            if let Some(key) = config.keys.get(user) {
                let read = |name: &str| {
                    let value = secrets.get(name);
                    value.map_err(|error| Error::permanent(error.to_string()))
                };
                let passphrase = key.passphrase.as_ref().map(|name| read(&name.secret));
                let key = read(&key.key.secret)?;
                ways.push(Way::Key(decode(key, passphrase.transpose()?).await?));
            }
            if !matches!(config.agent, Agent::Ambient(false)) {
                ways.push(Way::Agent(config.agent.clone()));
            }
        }
        if ways.is_empty() {
            return Err(Error::permanent(format!(
                "there are no credentials for `{user}`: give the target an authentication \
                 (`user-auth` or `private-key`), or configure `keys` or `agent`"
            )));
        }
        Ok(Self {
            user: user.to_owned(),
            ways,
        })
    }

    /// Logs in by the first way that the host takes.
    pub(super) async fn log_in(&self, handle: &mut Handle<Witness>) -> Result<(), Error> {
        let mut refused = Vec::new();
        for way in &self.ways {
            let (name, result) = match way {
                Way::Key(key) => ("key", self.by_key(handle, key).await?),
                Way::Password(password) => ("password", self.by_password(handle, password).await?),
                Way::Agent(agent) => ("agent", self.by_agent(handle, agent).await?),
            };
            match result {
                AuthResult::Success => return Ok(()),
                // A host that refuses says what it would take: this one is gone.
                AuthResult::Failure {
                    remaining_methods, ..
                } if remaining_methods.is_empty() => {
                    return Err(Error::retry("the connection broke during login"));
                }
                AuthResult::Failure {
                    remaining_methods,
                    partial_success,
                } => refused.push((name, remaining_methods, partial_success)),
            }
        }
        Err(self.refused(&refused))
    }

    /// What was tried, and what the host takes.
    fn refused(&self, refused: &[(&str, MethodSet, bool)]) -> Error {
        let tried: Vec<_> = refused.iter().map(|(name, ..)| *name).collect();
        let last = refused.last();
        let more = match last {
            Some((_, _, true)) => "; it asks for a second proof, which can't be given",
            _ => "",
        };
        let methods = last.iter().flat_map(|(_, methods, _)| methods.iter());
        let takes: Vec<_> = methods.map(<&str>::from).collect();
        Error::permanent(format!(
            "the host refused `{}` (tried: {}; it takes: {}){more}",
            self.user,
            tried.join(", "),
            takes.join(", ")
        ))
    }

    async fn by_key(
        &self,
        handle: &mut Handle<Witness>,
        key: &Arc<PrivateKey>,
    ) -> Result<AuthResult, Error> {
        let hash = hash(handle, key.public_key()).await?;
        let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
        let result = handle.authenticate_publickey(&self.user, key).await;
        result.map_err(broken)
    }

    /// By the method for it, or by answering the one question that PAM asks.
    async fn by_password(
        &self,
        handle: &mut Handle<Witness>,
        password: &SecretString,
    ) -> Result<AuthResult, Error> {
        let result = handle.authenticate_password(&self.user, password.expose_secret());
        let result = result.await.map_err(broken)?;
        let AuthResult::Failure {
            remaining_methods, ..
        } = &result
        else {
            return Ok(result);
        };
        let methods = remaining_methods;
        let only_asks = methods.contains(&MethodKind::KeyboardInteractive)
            && !methods.contains(&MethodKind::Password);
        if !only_asks {
            return Ok(result);
        }
        self.by_answers(handle, password).await
    }

    async fn by_answers(
        &self,
        handle: &mut Handle<Witness>,
        password: &SecretString,
    ) -> Result<AuthResult, Error> {
        let start = handle.authenticate_keyboard_interactive_start(&self.user, None);
        let mut asked = start.await.map_err(broken)?;
        for _ in 0..ROUNDS_MAX {
            let prompts = match asked {
                KeyboardInteractiveAuthResponse::Success => return Ok(AuthResult::Success),
                KeyboardInteractiveAuthResponse::Failure {
                    remaining_methods,
                    partial_success,
                } => {
                    return Ok(AuthResult::Failure {
                        remaining_methods,
                        partial_success,
                    });
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            // Only a single question whose answer is not shown is one for a password.
            let answers = match prompts.as_slice() {
                [] => Vec::new(),
                [prompt] if !prompt.echo => vec![password.expose_secret().to_owned()],
                _ => break,
            };
            let respond = handle.authenticate_keyboard_interactive_respond(answers);
            asked = respond.await.map_err(broken)?;
        }
        Err(Error::permanent(format!(
            "the host asks `{}` for more than a password",
            self.user
        )))
    }

    async fn by_agent(
        &self,
        handle: &mut Handle<Witness>,
        agent: &Agent,
    ) -> Result<AuthResult, Error> {
        let lost = |error: russh::keys::Error| {
            Error::retry(format!("the SSH agent can't be asked: {error}"))
        };
        let mut agent: AgentClient<UnixStream> = match agent {
            Agent::Ambient(_) => AgentClient::connect_env().await,
            Agent::Socket(path) => AgentClient::connect_uds(path).await,
        }
        .map_err(lost)?;
        let mut last = None;
        let known = agent.request_identities().await.map_err(lost)?;
        for identity in known.into_iter().take(AGENT_KEYS_MAX) {
            let AgentIdentity::PublicKey { key, .. } = identity else {
                continue;
            };
            let hash = hash(handle, &key).await?;
            let result = handle.authenticate_publickey_with(&self.user, key, hash, &mut agent);
            last = match result.await {
                Ok(AuthResult::Success) => return Ok(AuthResult::Success),
                Ok(failure) => Some(failure),
                // It holds the key but would not sign.
                Err(russh::AgentAuthError::Key(_)) => continue,
                Err(error) => return Err(Error::retry(error.to_string())),
            };
        }
        last.ok_or_else(|| Error::permanent("the SSH agent has no key to offer"))
    }
}

/// SHA-2 for RSA; other keys have no choice.
async fn hash(handle: &Handle<Witness>, key: &PublicKey) -> Result<Option<HashAlg>, Error> {
    if !key.algorithm().is_rsa() {
        return Ok(None);
    }
    let told = handle.best_supported_rsa_hash().await.map_err(broken)?;
    Ok(told.flatten().or(Some(HashAlg::Sha256)))
}

/// Reads a private key, apart from other work: a passphrase is made slow to try on purpose.
async fn decode(
    key: SecretString,
    passphrase: Option<SecretString>,
) -> Result<Arc<PrivateKey>, Error> {
    let read = tokio::task::spawn_blocking(move || {
        let passphrase = passphrase.as_ref().map(SecretString::expose_secret);
        decode_secret_key(key.expose_secret(), passphrase)
    });
    match read.await {
        Ok(Ok(key)) => Ok(Arc::new(key)),
        Ok(Err(russh::keys::Error::KeyIsEncrypted)) => Err(Error::permanent(
            "the private key is encrypted: it needs a passphrase",
        )),
        // What the library says could quote the key.
        Ok(Err(_)) | Err(_) => Err(Error::permanent(
            "the private key can't be read: it is none, or its passphrase is wrong",
        )),
    }
}

/// The connection broke before anything was asked for.
fn broken(error: russh::Error) -> Error {
    Error::retry(format!("the connection broke during login: {error}"))
}
