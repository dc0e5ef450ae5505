"""Texts that do harm wherever somebody forgets that names come from others: one corpus for every door.

Attack classes 12 (confusables), 15 (meta-characters), 16 (paths, double decoding), 29 (forged lines), 37 (markup), 38
(SQL) and 52 (shells).
"""

HARMLESS = "payroll"
TEXTS = {
    "markup": "<script>alert(1)</script>",
    "attribute": '" onfocus="alert(1)" autofocus="',
    "closing": "</textarea></title></main><h1>mine</h1>",
    "entities": "&lt;b&gt;&#x41;&amp;amp;",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}#{7*7}",
    "formula": "=cmd|'/C calc'!A0",
    "formula with a sign": "+1-1@SUM(A1)",
    "sql": "'; DROP TABLE objects; --",
    "sql identifier": 'x" OR "1"="1',
    "ldap filter": "*)(uid=*))(|(uid=*",
    "ldap name": "cn=admin,dc=example\\,dc=org+ou=x",
    "wildcards": "+ * / , % _ ?",
    "shell": "$(touch /tmp/x); `id` | cat && rm -rf ~ > /dev/null",
    "option": "--yes",
    "path": "../../etc/passwd",
    "path in codes": "%2e%2e%2fetc%2fpasswd",
    "path in codes of codes": "%252e%252e%252fetc",
    "dots": "..",
    "backslashes": "..\\..\\windows\\\\",
    "null in codes": "a%00b",
    "null": "a\x00b",
    "line ends": "a\r\nforged: line\n2026-01-01 [admin] done",
    "escape sequence": "\x1b]0;x\x07\x1b[2J\x1b[31mred",
    "c1 control": "a\x9b2Jb\x85c",
    "direction": "abc\u202egpj.exe\u2066x",
    "nothing to see": "al\u200bice\ufeff",
    "look-alike": "p\u0430yroll",
    "wide look-alike": "\uff50\uff41\uff59roll",
    "composed": "Zoe\u0308 \u212bngstr\u00f6m",
    "blanks": " \u00a0payroll\u3000 ",
    "far planes": "\U0001f511\U000e0041\U0010fffd",
    "long": "x" * 256,
}
