//! Modules against real peers: one binary, one file for each topic.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod bash;
mod brokers;
mod clair;
mod exec;
mod file;
mod fin;
mod http;
mod k8s;
mod lists;
mod mail;
mod over_http;
mod peers;
mod powershell;
mod recipes;
mod running;
mod schedule;
mod service;
mod sigma;
mod small;
mod ssh;
mod support;
mod syslog;
mod trivy;
mod vuls;
mod webhook;
mod winrm;
mod yara;
