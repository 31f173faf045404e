//! `powershell` by WinRM over HTTPS.

mod failures;
mod host;
mod scripts;
