"""Which currencies exist, and how many decimals each has.

Source: ISO 4217 List One (active codes) and List Three (withdrawn codes) as published by SIX on 2026-01-01. Codes
without a minor unit (gold XAU, the test code XTS, the code for "no currency") are left out: nobody can owe their cents.
"""

from collections.abc import Mapping
from typing import Final

_ACTIVE: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
       AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY
       COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS
       INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR
       MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP
       STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
       """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

# A code that ISO withdraws moves here and never leaves: an order placed in levs must still be read in levs.
_WITHDRAWN: Final = {2: "ANG BGN CUC HRK SLL ZWL"}

ACTIVE: Final = frozenset(code for codes in _ACTIVE.values() for code in codes.split())
WITHDRAWN: Final = frozenset(code for codes in _WITHDRAWN.values() for code in codes.split())

EXPONENTS: Final[Mapping[str, int]] = {
    code: decimals for table in (_ACTIVE, _WITHDRAWN) for decimals, codes in table.items() for code in codes.split()
}
"""Currency code → decimals of its minor unit: ``EXPONENTS["EUR"] == 2``, one cent is 10**-2 euro."""
