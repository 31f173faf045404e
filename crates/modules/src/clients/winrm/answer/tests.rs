//! Answers in the forms of Windows, and in those that nobody should send.

use super::*;

/// An answer in the form that Windows gives it.
fn answered(body: &str) -> String {
    format!(
        "<s:Envelope xml:lang=\"en-US\" xmlns:s=\"{SOAP}\" xmlns:w=\"{WSMAN}\" xmlns:rsp=\"{SHELL}\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:x=\"http://schemas.xmlsoap.org/ws/2004/09/transfer\"><s:Header>\
         <a:RelatesTo>uuid:1</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

fn faulted(value: &str, subcode: &str, detail: &str) -> String {
    answered(&format!(
        "<s:Fault><s:Code><s:Value>{value}</s:Value><s:Subcode><s:Value>{subcode}</s:Value>\
         </s:Subcode></s:Code><s:Reason><s:Text xml:lang=\"\">Reason.</s:Text></s:Reason>\
         <s:Detail>{detail}</s:Detail></s:Fault>"
    ))
}

#[test]
fn identifiers_are_found_where_windows_puts_them() {
    let created = answered(
        "<x:ResourceCreated><a:ReferenceParameters><w:SelectorSet>\
         <w:Selector Name=\"ShellId\">AB-1</w:Selector></w:SelectorSet></a:ReferenceParameters>\
         </x:ResourceCreated>",
    );
    assert_eq!(shell_id(&created).unwrap(), "AB-1");
    let shell = answered("<rsp:Shell><rsp:ShellId>AB-2</rsp:ShellId></rsp:Shell>");
    assert_eq!(shell_id(&shell).unwrap(), "AB-2");
    let begun =
        answered("<rsp:CommandResponse><rsp:CommandId>C-1</rsp:CommandId></rsp:CommandResponse>");
    assert_eq!(command_id(&begun).unwrap(), "C-1");
    assert!(command_id(&created).is_err());
    assert!(shell_id(&answered("<rsp:ShellId> </rsp:ShellId>")).is_err());
}

#[test]
fn pieces_of_output_are_joined_before_they_are_read() {
    // "ä" in two pieces.
    let text = answered(
        "<rsp:ReceiveResponse><rsp:Stream Name=\"stdout\" CommandId=\"C\">YcM=</rsp:Stream>\
         <rsp:Stream Name=\"stderr\" CommandId=\"C\">IQ==</rsp:Stream>\
         <rsp:Stream Name=\"stdout\" CommandId=\"C\">pA==</rsp:Stream>\
         <rsp:Stream Name=\"stdout\" CommandId=\"C\" End=\"true\"/>\
         <rsp:CommandState CommandId=\"C\" State=\"http://schemas.microsoft.com/wbem/wsman/1/\
         windows/shell/CommandState/Done\"><rsp:ExitCode>-7</rsp:ExitCode></rsp:CommandState>\
         </rsp:ReceiveResponse>",
    );
    let read = received(&text).unwrap();
    assert_eq!(String::from_utf8(read.stdout).unwrap(), "aä");
    assert_eq!(
        (read.stderr.as_slice(), read.exit_code),
        (&b"!"[..], Some(-7))
    );
    let running = text.replace("/Done", "/Running");
    assert_eq!(received(&running).unwrap().exit_code, None);
    for broken in [
        text.replace("<rsp:ExitCode>-7</rsp:ExitCode>", ""),
        text.replace("YcM=", "YcM"),
        answered(""),
        answered("").replace(SOAP, "urn:other"),
        "{}".to_owned(),
    ] {
        assert!(received(&broken).is_err(), "{broken}");
    }
}

#[test]
fn a_fault_says_whose_it_is_and_what_to_do() {
    let detail = |code: &str| {
        format!(
            "<f:WSManFault xmlns:f=\"{FAULT}\" Code=\"{code}\" Machine=\"h\"><f:Message>\
             <f:ProviderFault>Too\n  much. </f:ProviderFault></f:Message></f:WSManFault>"
        )
    };
    let quota = fault(&faulted("s:Sender", "w:QuotaLimit", &detail("2150859173"))).unwrap();
    assert!(quota.is_quota() && quota.is_refusal() && !quota.is_time_over());
    assert_eq!(
        quota.words(),
        "the host says: Too much. (QuotaLimit 2150859173)"
    );
    let late = fault(&faulted("s:Receiver", "w:TimedOut", &detail("2150858793"))).unwrap();
    assert!(late.is_time_over() && !late.is_refusal());
    let denied = fault(&faulted("s:Sender", "w:AccessDenied", &detail("5"))).unwrap();
    assert!(
        denied.words().contains("administrator"),
        "{}",
        denied.words()
    );
    let bare = fault(&faulted("s:Receiver", "w:InternalError", "")).unwrap();
    assert_eq!(bare.words(), "the host says: Reason. (InternalError)");
    assert_eq!(fault(&answered("")), None);
}

#[test]
fn entities_and_towers_of_elements_are_refused() {
    let laugh = format!(
        "<!DOCTYPE s [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>{}",
        answered("<rsp:CommandId>&b;</rsp:CommandId>")
    );
    assert!(command_id(&laugh).is_err());
    let tower = format!("{}{}", "<a>".repeat(60_000), "</a>".repeat(60_000));
    assert!(command_id(&answered(&tower)).is_err());
}
