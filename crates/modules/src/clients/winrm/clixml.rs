//! What PowerShell writes to standard error where nobody reads it: objects as XML (CLIXML),
//! made plain text again. Records of progress are left out.

use roxmltree::{Document, Node, ParsingOptions};

const MARK: &str = "#< CLIXML";

/// The texts among the objects; the text as it is where it holds none, or none that can be read.
pub(super) fn plain(text: &str) -> String {
    if !text.trim_start_matches('\u{feff}').starts_with(MARK) {
        return text.to_owned();
    }
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("<Objs ") {
        plain.push_str(&unmarked(&rest[..start]));
        let Some(length) = rest[start..].find("</Objs>") else {
            // Cut off: nothing of it can be read.
            return plain + &rest[start..];
        };
        let (objects, after) = rest[start..].split_at(length + "</Objs>".len());
        match texts(objects) {
            Some(texts) => plain.push_str(&texts),
            None => plain.push_str(objects),
        }
        rest = after;
    }
    plain + &unmarked(rest)
}

/// What stands around objects: often there are marks only.
fn unmarked(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    let kept = lines.filter(|line| {
        let line = line.trim().trim_start_matches('\u{feff}');
        line != MARK && !line.is_empty()
    });
    kept.collect()
}

fn texts(objects: &str) -> Option<String> {
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: 100_000,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(objects, options).ok()?;
    let own = document.root_element().children();
    let texts = own.filter(|node| node.tag_name().name() == "S");
    Some(
        texts
            .filter_map(|node: Node<'_, '_>| node.text())
            .map(decoded)
            .collect(),
    )
}

/// `_xHHHH_` stands for a unit of UTF-16.
fn decoded(text: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("_x") {
        units.extend(rest[..start].encode_utf16());
        let code = rest.get(start + 2..start + 6);
        let code = code.filter(|_| rest[start..].get(6..7) == Some("_"));
        match code.and_then(|code| u16::from_str_radix(code, 16).ok()) {
            Some(unit) => {
                units.push(unit);
                rest = &rest[start + 7..];
            }
            None => {
                units.extend("_x".encode_utf16());
                rest = &rest[start + 2..];
            }
        }
    }
    units.extend(rest.encode_utf16());
    String::from_utf16_lossy(&units).replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str =
        r#"<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">"#;

    #[test]
    fn objects_become_the_texts_that_are_in_them() {
        let progress = r#"<Obj S="progress" RefId="0"><MS><S N="n">no text</S></MS></Obj>"#;
        let error =
            r#"<S S="Error">x_x000D__x000A_</S><S S="warning">&lt;_xD83D__xDE00__x005F_x41_</S>"#;
        let table = [
            (format!("#< CLIXML\r\n{OPEN}{progress}</Objs>"), ""),
            (
                format!("#< CLIXML\r\n{OPEN}{progress}{error}</Objs>"),
                "x\n<\u{1f600}_x41_",
            ),
            (
                format!(
                    "#< CLIXML\r\n#< CLIXML\r\n{OPEN}{error}</Objs>{OPEN}<S>é</S></Objs>tail\n"
                ),
                "x\n<\u{1f600}_x41_étail\n",
            ),
            ("a warning\n".to_owned(), "a warning\n"),
            ("#< CLIXML\r\n<Objs cut".to_owned(), "<Objs cut"),
            (
                "#< CLIXML\n<Objs x='&y;'></Objs>".to_owned(),
                "<Objs x='&y;'></Objs>",
            ),
            (
                format!("#< CLIXML\n{OPEN}<S>_xÄÄ_ _x12</S></Objs>"),
                "_xÄÄ_ _x12",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(plain(&text), expected, "{text}");
        }
    }
}
