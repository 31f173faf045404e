//! What real shells make of quoted values.

use std::collections::BTreeMap;
use std::process::Command;

use conche_cacao::variable::substitute::Error;
use conche_cacao::variable::{Quoting, Substitution, Type, Value, Variable, quote};

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

fn filled(script: &str, kind: &Type, value: &str) -> Result<String, Error> {
    let value = kind.parse(value).expect("a value of its type");
    let variable = Variable::new(kind.clone(), Some(value));
    let variables = BTreeMap::from([("__x__", variable)]);
    Substitution::new(&variables).text(script, Quoting::PosixShell)
}

/// Places in which bash takes a word for code, for a number to calculate or for the name of a
/// variable.
const CODE: [&str; 46] = [
    "[[ __x__:value -gt 5 ]]",
    "[[ 5 -eq __x__:value ]]",
    "[[ -n a && ( \"__x__:value\" -lt 5 ) ]]",
    "[[ a__x__:value\n-ne 5 ]]",
    "[[ __x__:value\"$(echo 1)\" -ne 5 ]]",
    "[[ -v __x__:value ]]",
    "if ! [[ 1 -le __x__:value ]]; then echo; fi",
    "f() { [[ __x__:value -ge 1 ]]; }; f",
    "function f { let __x__:value; }; f",
    "[ -v __x__:value ]",
    "test ! -v __x__:value",
    "[ \"$op\" __x__:value ]",
    "[ __x__:value __x__:value ]",
    "let n=__x__:value",
    "let \"n = __x__:value\"",
    "l'e't n=__x__:value",
    "\\let n=__x__:value",
    "builtin let n=__x__:value",
    "command -p let n=__x__:value",
    "x=1 >/dev/null let n=__x__:value",
    "let 2>&1 n=__x__:value",
    "let &>/dev/null n=__x__:value",
    "let a=$(echo 1) n=__x__:value",
    "echo $(let n=__x__:value)",
    "(let n=__x__:value)",
    "case a in a) let n=__x__:value;; esac",
    "true && let n=__x__:value",
    "for i in 1; do let n=__x__:value; done",
    "declare -i n=__x__:value",
    "declare -i n\nn=__x__:value",
    "f() { n=__x__:value; }\ndeclare -i n\nf",
    "n=__x__:value; echo `id`; declare -i n",
    "f() { local -i n=__x__:value; }; f",
    "typeset -xi n; export n=__x__:value",
    "declare -n r=__x__:value",
    "declare __x__:value=1",
    "declare -a \"a=(__x__:value)\"",
    "printf -v __x__:value x",
    "printf -v__x__:value x",
    "printf __x__:value x",
    "a[__x__:value]=1",
    "a[ __x__:value ]=1",
    "a=([__x__:value]=1)",
    "read __x__:value",
    "unset __x__:value",
    "eval __x__:value",
];

#[test]
fn no_text_stands_where_bash_takes_a_word_for_code() {
    for script in CODE {
        match filled(script, &Type::String, "a[$(id)]") {
            Err(Error::Refused {
                reason: quote::Error::Word(_) | quote::Error::Place(_),
                ..
            }) => {}
            other => panic!("{script} gave {other:?}"),
        }
    }
}

#[test]
fn a_number_or_an_address_may_stand_where_bash_calculates() {
    for (script, kind, value, prints) in [
        (
            "[[ __x__:value -gt 5 ]] && echo more",
            Type::Integer,
            "7",
            "more\n",
        ),
        (
            "let \"n = __x__:value + 1\"; echo $n",
            Type::Long,
            "-3",
            "-2\n",
        ),
        (
            "declare -i n=__x__:value; echo $n",
            Type::Integer,
            "+05",
            "5\n",
        ),
        (
            "declare -A m; m[__x__:value]=1; echo ${!m[@]}",
            Type::Ipv4,
            "10.0.0.5",
            "10.0.0.5\n",
        ),
        (
            "[[ __x__:value -gt 5 ]] || echo less",
            Type::Integer,
            "",
            "less\n",
        ),
    ] {
        let script = filled(script, &kind, value).expect("filled in");
        assert_eq!(printed(&script), prints, "{script}");
    }
}

/// What a script of bash prints.
fn printed(script: &str) -> String {
    let output = Command::new("bash").arg("-c").arg(script).output();
    String::from_utf8(output.expect("bash").stdout).expect("text")
}

#[test]
fn elsewhere_a_text_that_looks_like_a_subscript_stays_what_it_is() {
    const EVIL: &str = "a[$(echo run >&2; echo 0)]";
    for script in [
        "echo __x__:value",
        "[[ __x__:value == a* ]] && echo \"__x__:value\"",
        "[[ -n __x__:value && 7 -gt 5 ]] && echo __x__:value",
        "[[ 7 -gt 5 ]] && echo __x__:value",
        "if [ \"__x__:value\" = a ]; then echo no; else echo __x__:value; fi",
        "n=__x__:value; echo \"$n\"",
        "export N=__x__:value; echo \"$N\"",
        "f() { local -r n=__x__:value; echo \"$n\"; }; f",
        "printf '%s\\n' __x__:value",
        "printf -v out '%s' __x__:value; echo \"$out\"",
        "a=(x __x__:value); echo \"${a[1]}\"",
        "a[1]=__x__:value; echo \"${a[1]}\"",
        "case __x__:value in a*) echo __x__:value;; esac",
        "for i in __x__:value; do echo \"$i\"; done",
        "read -r line < /dev/null; echo __x__:value 2>&1",
        "echo $(echo let; echo __x__:value) | tail -c +5",
        "echo let eval read >&2; echo __x__:value",
        "declare -A m; ip=__x__:value; echo \"$ip\"",
        "(true); { echo __x__:value; }",
        "sleep 0 & echo __x__:value",
    ] {
        let script = filled(script, &Type::String, EVIL).expect(script);
        let output = Command::new("bash").arg("-c").arg(&script).output();
        let output = output.expect("bash");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            EVIL,
            "{script}"
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.lines().any(|line| line == "run"), "{script}: {said}");
    }
}
