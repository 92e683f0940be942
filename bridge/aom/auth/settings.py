"""The settings of each credential method, below `targets.<name>.auth`, and secrets that may be in files.

In: one section of the configuration file. Out: its values, and secrets that are read from their files each time they
are asked for, since Kubernetes and others rotate them. A method and its settings are named in `bridge.aom.auth`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bridge.typed_yaml.scalars import SecretField
from bridge.typed_yaml.secret import Secret
from bridge.typed_yaml.secret_files import missing_files, read_secret, secret_problems
from bridge.typed_yaml.section import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """A token that another program renews: by value, or in a file that is read again for each request.

    Attributes:
        value: the token. It is not renewed, so it is for tries only.
        file: a file that holds the token; the program that renews the token writes the file anew.
    """

    value: SecretField | None = None
    file: Path | None = None

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        return secret_problems("value", self.value, "file", self.file)

    def missing(self) -> Problems:
        """Return which file does not exist: pairs of the key and the sentence."""
        return missing_files(file=self.file)

    def secret(self) -> Secret:
        """Return the token; raises ValueError with the fix."""
        return read_secret("auth.token", self.value, self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordSettings:
    """An IAM user, for whom the bridge fetches and renews tokens.

    Attributes:
        domain: the name of the account that the user belongs to.
        user: the name of the IAM user. It needs `aom:alarm:put` to report and clear, and `aom:alarm:list` to look up
            and audit.
        password: the user's password, as `${VARIABLE}`.
        password_file: a file that holds the password, instead of `password`; it is read again when it changes.
        project_name: asks IAM for a token of the project with this name, not by the target's `project_id`. For an IAM
            that does not know projects by id.
        iam_endpoint: the address of IAM, such as `https://iam.cn-north-4.myhuaweicloud.com`. It is needed where the
            target names no `region`.
    """

    domain: str
    user: str
    password: SecretField | None = None
    password_file: Path | None = None
    project_name: str = ""
    iam_endpoint: str = ""

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        return secret_problems("password", self.password, "password_file", self.password_file)

    def missing(self) -> Problems:
        """Return which file does not exist: pairs of the key and the sentence."""
        return missing_files(password_file=self.password_file)

    def secret(self) -> Secret:
        """Return the password; raises ValueError with the fix."""
        return read_secret("auth.password.password", self.password, self.password_file)


@dataclass(frozen=True, slots=True)
class Keys:
    """Access keys as they are in the configuration or in files now."""

    access_key: str
    secret_key: Secret
    security_token: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AkskSettings:
    """Access keys: permanent, or temporary ones with a security token, which another program renews in files.

    Attributes:
        access_key: the access key id (AK).
        access_key_file: a file that holds the access key id, instead of `access_key`.
        secret_key: the secret access key (SK), as `${VARIABLE}`.
        secret_key_file: a file that holds the secret access key, instead of `secret_key`; it is read again when it
            changes.
        security_token: the security token of temporary keys.
        security_token_file: a file that holds the security token, instead of `security_token`; temporary keys are
            renewed, so use files for all three.
    """

    access_key: str = ""
    access_key_file: Path | None = None
    secret_key: SecretField | None = None
    secret_key_file: Path | None = None
    security_token: SecretField | None = None
    security_token_file: Path | None = None

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        problems = secret_problems("access_key", self._access_key(), "access_key_file", self.access_key_file)
        problems += secret_problems("secret_key", self.secret_key, "secret_key_file", self.secret_key_file)
        if self.security_token is not None or self.security_token_file is not None:
            token = self.security_token
            problems += secret_problems("security_token", token, "security_token_file", self.security_token_file)
        return problems

    def missing(self) -> Problems:
        """Return which files do not exist: pairs of the key and the sentence."""
        return missing_files(
            access_key_file=self.access_key_file,
            secret_key_file=self.secret_key_file,
            security_token_file=self.security_token_file,
        )

    def secrets(self) -> Keys:
        """Return the keys; raises ValueError with the fix."""
        has_token = self.security_token is not None or self.security_token_file is not None
        return Keys(
            read_secret("auth.aksk.access_key", self._access_key(), self.access_key_file).reveal(),
            read_secret("auth.aksk.secret_key", self.secret_key, self.secret_key_file),
            read_secret("auth.aksk.security_token", self.security_token, self.security_token_file)
            if has_token
            else None,
        )

    def _access_key(self) -> Secret | None:
        return Secret(self.access_key) if self.access_key else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkSettings:
    """The official SDK's own provider chain, which takes its settings from the environment."""
