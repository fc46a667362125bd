"Everything that the package declares stands in settings.ini."

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

settings = ConfigParser()
settings.read(Path(__file__).with_name("settings.ini"), encoding="utf-8")
cfg = settings["DEFAULT"]

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    author=cfg["author"],
    license="Apache-2.0",
    python_requires=f">={cfg['min_python']}",
    packages=find_packages(include=["song_metric", "song_metric.*"]),
    package_data={"song_metric": ["py.typed", "assets/*", "weights/*"]},
    install_requires=cfg["requirements"].split(),
    extras_require={
        "report": cfg["report_requirements"].split(),
        "dev": cfg["dev_requirements"].split() + cfg["report_requirements"].split(),
    },
    entry_points={"console_scripts": cfg["console_scripts"].split()},
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
)
