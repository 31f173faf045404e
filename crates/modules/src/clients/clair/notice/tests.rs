//! Pages as real servers wrote them, and anything else.

use proptest::prelude::*;

use super::*;

const V1: &str = r#"{"Notification":{"Name":"n","Limit":1,"Page":"p1","NextPage":"p2","New":{"Vulnerability":{"Name":"CVE-2099-0001","NamespaceName":"debian:12","Description":"test","Link":"https://x","Severity":"High","Metadata":{"NVD":{"CVSSv2":{"Score":7.5}}},"FixedIn":[{"Name":"openssl","NamespaceName":"debian:12","VersionFormat":"dpkg","Version":"3.0.9-1"}]},"OrderedLayersIntroducingVulnerability":[{"Index":1,"LayerName":"l1"}],"LayersIntroducingVulnerability":["l1"]}}}"#;
const V3: &str = r#"{"notification":{"name":"n-1","created":"1795311216","old":null,"new":{"currentPage":"c","nextPage":"x","limit":1,"vulnerability":{"name":"CVE-2099-0001","namespaceName":"debian:12","severity":"High","metadata":"{}"},"ancestries":[{"index":1,"name":"img1"}]}}}"#;
const V4: &str = r#"{"page":{"size":1,"next":"u2"},"notifications":[{"id":"u1","manifest":"sha256:aa","reason":"removed","vulnerability":{"name":"CVE-2099-0001","description":"test","package":{"name":"openssl","version":"3.0.1"},"distribution":{"did":"debian","version_id":"12"},"repo":{},"severity":"High","fixed_in_version":"3.0.9-1","links":"https://x https://y"}}]}"#;

#[test]
fn a_page_of_each_generation_becomes_the_same_parts() {
    for (text, api, side, name, next) in [
        (V1, Api::V1, Side::New, "l1", ("page", "p2")),
        (
            V3,
            Api::V3,
            Side::New,
            "img1",
            ("new_vulnerability_page", "x"),
        ),
        (V4, Api::V4, Side::Old, "sha256:aa", ("next", "u2")),
    ] {
        let page = Page::read(text.as_bytes(), None).unwrap();
        let part = &page.parts[0];
        assert_eq!((page.api, part.side), (api, side));
        assert_eq!(part.affected[0].name, name);
        assert_eq!(part.vulnerability["name"], "CVE-2099-0001");
        assert_eq!(part.vulnerability["namespaceName"], "debian:12");
        assert_eq!(part.vulnerability["severity"], "High");
        let query = page.next_query(7).unwrap();
        let size = if api == Api::V4 { "page_size" } else { "limit" };
        assert_eq!(query, [(size, "7".to_owned()), (next.0, next.1.to_owned())]);
        let wrong = if api == Api::V1 { Api::V3 } else { Api::V1 };
        assert!(Page::read(text.as_bytes(), Some(wrong)).is_err());
    }
    let v4 = Page::read(V4.as_bytes(), None).unwrap();
    assert_eq!(v4.parts[0].more["package"]["name"], "openssl");
    assert_eq!(v4.parts[0].vulnerability["fixedBy"], "3.0.9-1");
}

#[test]
fn csf_bug_3_what_is_no_notification_is_an_error_and_never_a_panic() {
    for text in [
        "",
        "[]",
        "null",
        "{}",
        "<html>",
        r#"{"Error":{"Message":"no"}}"#,
        r#"{"notification":null}"#,
        r#"{"notification":[]}"#,
        r#"{"notification":{"new":7}}"#,
        r#"{"notification":{"new":{"nextPage":7}}}"#,
        r#"{"notification":{"new":{"vulnerability":{},"ancestries":[{}]}}}"#,
        r#"{"Notification":{"New":{"Vulnerability":{}}}}"#,
        r#"{"page":{},"notifications":{}}"#,
        r#"{"page":{},"notifications":[{"reason":"changed"}]}"#,
    ] {
        assert!(Page::read(text.as_bytes(), None).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn a_damaged_page_is_read_or_refused(which in 0usize..3, at in 0usize..400, byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = [V1, V3, V4][which].as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if let Ok(page) = Page::read(&bytes, None) {
            prop_assert!(page.parts.len() <= 2);
        }
    }
}
