"""What a MariaDB or MySQL error number means to us (https://mariadb.com/kb/en/mariadb-error-code-reference/)."""

from __future__ import annotations

_NUMBERS = {
    "busy": (1020, 1099, 1100, 1205, 1206, 1213, 3058, 3572),
    "timeout": (1028, 1317, 1969, 3024),
    "integrity": (1048, 1062, 1169, 1216, 1217, 1264, 1364, 1366, 1406, 1451, 1452, 1557, 3819, 4025),
    "denied": (1044, 1045, 1095, 1142, 1143, 1227, 1290, 1370, 1372, 1410, 1698, 1792, 1820, 1836, 1862, 3118),
    "unreachable": (
        1040,
        1042,
        1049,
        1053,
        1077,
        1079,
        1129,
        1130,
        1152,
        1203,
        1226,
        1927,
        2002,
        2003,
        2005,
        2006,
        2013,
        2026,
        4031,
    ),
    "full": (3, 1021, 1026, 1041, 1114, 1534),
    "corrupt": (126, 127, 144, 145, 1034, 1035, 1194, 1195, 1712, 1877),
    "trigger": (1644,),
    "missing": (1054, 1146, 1176, 1305),
}
_CODES = {number: code for code, numbers in _NUMBERS.items() for number in numbers}


def code_of(error: object) -> str | None:
    """Return the code of an error of pymysql, None where it is none, ``failed`` for a number not known here."""
    if not type(error).__module__.startswith("pymysql"):
        return None
    numbers = getattr(error, "args", ())
    if numbers and isinstance(numbers[0], int):
        # 0: the connection was used after it had been lost.
        return "unreachable" if numbers[0] == 0 else _CODES.get(numbers[0], "failed")
    return "failed"
