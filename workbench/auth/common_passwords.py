"""Passwords, and words that passwords are made of, which guessing begins with.

The heads of public lists of leaked passwords, as far as they have ten characters or become so by digits
behind them. Digits and signs around a word do not make it another one (`uncommon_password`).
"""

from __future__ import annotations

_WORDS = """
password passwort password1 passw0rd p@ssw0rd p@ssword pa55word motdepasse contrasena wachtwoord
qwerty qwertz azerty qwertyui qwertyuiop qwertzuiop azertyuiop asdfgh asdfghjkl asdfghjkl;
zxcvbn zxcvbnm 1q2w3e 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx 1qaz2wsx3edc zaq12wsx qazwsx
qazwsxedc q1w2e3r4 q1w2e3r4t5 q1w2e3r4t5y6 qwer1234 qwe123qwe abc123 abcd1234 abcdef abcdefg
abcdefgh abcdefghij a1b2c3 a1b2c3d4 a1b2c3d4e5 aa12345678 iloveyou iloveyou1 iloveu loveyou love
letmein letmein1 welcome welcome1 willkommen bienvenue admin admin1 administrator administrateur
root toor rootroot adminadmin passwordpassword user guest test tester testtest testing login
master default changeme changeit change_me letmeinnow secret topsecret geheim hallo hello hello1
hallo1 helloworld monkey dragon sunshine princess football fussball baseball basketball soccer
hockey superman batman spiderman pokemon starwars trustno1 whatever freedom shadow michael
jennifer jordan michelle nicole daniel ashley jessica charlie thomas hunter summer winter spring
autumn sommer january february march april june july august september october november december
monday tuesday wednesday thursday friday saturday sunday cookie chocolate computer internet
samsung google facebook linkedin microsoft windows apple iphone android company business office
service support manager employee temp temporary workbench annotation annotationworkbench
labelstudio label-studio labelstudio1 heartex humansignal annotator annotate labeling
correcthorsebatterystaple corrects mypassword mypasswort yourpassword thepassword newpassword
oldpassword nopassword mysecret access accessdenied matrix killer ninja mustang ferrari porsche
mercedes liverpool arsenal chelsea barcelona realmadrid juventus bayern schalke dortmund flower
blessed jesus jesuschrist god angel forever family babygirl lovely butterfly purple orange
yellow rainbow diamond golden silver
"""
COMMON = frozenset(_WORDS.split())
