"""Why a call of the system failed, in Chinese; in English the system's own words stay."""

from __future__ import annotations

import errno
import os
import re

_CHINESE_BY_NAME = {
    "EACCES": "没有权限",
    "EADDRINUSE": "地址已被占用",
    "EADDRNOTAVAIL": "地址不可用",
    "EAGAIN": "资源暂时不可用",
    "EBUSY": "正在被使用",
    "ECONNABORTED": "连接被中止",
    "ECONNREFUSED": "连接被拒绝",
    "ECONNRESET": "连接被重置",
    "EDQUOT": "超出磁盘配额",
    "EEXIST": "已经存在",
    "EFBIG": "文件太大",
    "EHOSTDOWN": "对方主机没有开机",
    "EHOSTUNREACH": "无法到达对方主机",
    "EINVAL": "参数无效",
    "EIO": "读写出错",
    "EISDIR": "这是一个文件夹",
    "ELOOP": "符号链接的层数太多",
    "EMFILE": "打开的文件太多",
    "ENAMETOOLONG": "名称太长",
    "ENETDOWN": "网络已断开",
    "ENETUNREACH": "无法到达网络",
    "ENFILE": "系统中打开的文件太多",
    "ENODEV": "没有这个设备",
    "ENOENT": "没有这个文件或文件夹",
    "ENOLCK": "无法加锁",
    "ENOMEM": "内存不足",
    "ENOSPC": "磁盘空间不足",
    "ENOTDIR": "路径中有一部分不是文件夹",
    "ENOTEMPTY": "文件夹不是空的",
    "ENOTSUP": "不支持这种操作",
    "ENXIO": "没有这个设备",
    "EPERM": "不允许这种操作",
    "EPIPE": "读取的一方已经关闭",
    "EROFS": "磁盘是只读的",
    "ESTALE": "网络磁盘上的文件已经失效",
    "ETIMEDOUT": "超时",
    "ETXTBSY": "文件正在运行",
    "EXDEV": "不能跨磁盘操作",
}
_CHINESE = {
    os.strerror(getattr(errno, name)): words
    for name, words in _CHINESE_BY_NAME.items()
    if hasattr(errno, name)
} | {"not a regular file": "不是普通文件"}  # our own, beside them
# `str` of an OSError without a file.
_NUMBERED = re.compile(r"\[Errno -?\d+\] (?P<reason>.+)")


def in_chinese(reason: str) -> str:
    """The same for people who read Chinese; what the system does not usually say stays as it is."""
    match = _NUMBERED.fullmatch(reason)
    return _CHINESE.get(match["reason"] if match else reason, reason)
