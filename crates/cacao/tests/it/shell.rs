//! What a real shell makes of quoted values.

use std::collections::BTreeMap;
use std::process::Command;

use conche_cacao::variable::{Quoting, Substitution, Type, Value, Variable};

#[test]
fn a_shell_sees_each_value_as_it_is() {
    let values = [
        "",
        " ",
        "'",
        "\"",
        "\\",
        "\\'",
        "a b",
        "$(echo x)",
        "`echo x`",
        "${HOME}",
        "$HOME",
        "\n",
        "a\nb\n",
        "'; echo x #",
        "\"; echo x #",
        "\\\"",
        "!",
        "!!",
        "*",
        "~",
        "-n",
        "é",
        "\u{1f4a9}",
        "#x",
        "a'b'c",
        "\\n",
        "%s",
        "<x",
        ">x",
        "|x",
        "&",
        "[x]",
        "{a,b}",
        "\t",
        "\r\n",
        "$'x'",
        "(",
        ")",
        "=",
        "A=b",
        "if",
    ];
    let mut script = String::new();
    let mut expected = String::new();
    for value in values {
        let variable = Variable::new(Type::String, Some(Value::Text(value.to_owned())));
        let variables = BTreeMap::from([("__x__", variable)]);
        let command = "printf '%s|' __x__:value -__x__:value- '<__x__:value>' \"<__x__:value>\"\n";
        let filled = Substitution::new(&variables).text(command, Quoting::PosixShell);
        script.push_str(&filled.expect("filled in"));
        expected.extend([value, "|-", value, "-|<", value, ">|<", value, ">|"]);
    }
    let output = Command::new("sh")
        .arg("-c")
        .arg(&script)
        .output()
        .expect("a shell");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert!(output.status.success());
}
