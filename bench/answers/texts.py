"""What people and machines say when they answer, in six languages.

The last entries of each list are kept for the part of the set that nothing is tuned by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: For each language what may be said.
Texts = Mapping[str, tuple[str, ...]]

LANGUAGES: Final = ("en", "de", "fr", "es", "it", "pt")

#: A word or two.
HELLOS: Texts = {
    "en": (
        *("Hello?", "Hello", "Yes?", "Hi", "Hello, who's there?", "Yeah?", "Good evening?"),
        *("Hello, yes?", "Speaking.", "Morning?"),
    ),
    "de": (
        *("Hallo?", "Ja?", "Ja bitte?", "Hallo, wer ist da?", "Guten Tag?", "Jo?", "Servus"),
        *("Hallo, ja?", "Guten Morgen?", "Wer ist dran?"),
    ),
    "fr": (
        *("Allô?", "Oui?", "Allô, oui?", "Bonjour", "Oui allô?", "Qui est là?", "Bonsoir?"),
        *("Oui bonjour?", "J'écoute?", "Allô, c'est qui?"),
    ),
    "es": (
        *("¿Diga?", "¿Sí?", "Hola", "¿Bueno?", "¿Quién es?", "¿Aló?", "Dígame"),
        *("¿Quién habla?", "Sí, diga", "Buenas"),
    ),
    "it": (
        *("Pronto?", "Sì?", "Pronto, chi parla?", "Ciao", "Sì, pronto", "Chi è?", "Buonasera"),
        *("Chi parla?", "Mi dica", "Pronto, sì?"),
    ),
    "pt": (
        *("Alô?", "Sim?", "Estou?", "Oi", "Quem fala?", "Está lá?", "Pois não?"),
        *("Boa tarde?", "Diga?", "Alô, quem é?"),
    ),
}

#: A name, or a sentence.
NAMES: Texts = {
    "en": (
        "John Miller speaking.",
        "Hello, this is Susan.",
        "Miller residence, good evening.",
        "Hi, who is calling please?",
        "Hello, Doctor Brown here.",
        "Peter Jones, hello.",
        "Hello, Karen on the line.",
    ),
    "de": (
        "Schneider.",
        "Müller, guten Tag.",
        "Hallo, hier ist Sabine.",
        "Familie Weber, guten Abend.",
        "Ja, Becker am Apparat.",
        "Hoffmann, guten Morgen.",
        "Hallo, Klaus Richter hier.",
    ),
    "fr": (
        "Dupont, bonjour.",
        "Oui, c'est Marie à l'appareil.",
        "Bonjour, qui est à l'appareil?",
        "Allô oui, j'écoute.",
        "Madame Lefèvre, bonsoir.",
        "Bonjour, Paul Girard.",
        "Oui, Sophie, bonjour.",
    ),
    "es": (
        "Hola, soy Carmen.",
        "Familia García, buenas tardes.",
        "¿Sí, quién habla por favor?",
        "Dígame, le escucho.",
        "Buenos días, habla Fernández.",
        "Hola, le habla Lucía.",
        "Sí, soy Martínez, dígame.",
    ),
    "it": (
        "Pronto, sono Giulia.",
        "Casa Rossi, buonasera.",
        "Sì, chi parla per favore?",
        "Bianchi, buongiorno.",
        "Pronto, dica pure.",
        "Ferrari, mi dica.",
        "Pronto, parla Elena.",
    ),
    "pt": (
        "Alô, aqui é a Maria.",
        "Casa dos Silva, boa tarde.",
        "Sim, quem fala por favor?",
        "Oi, pode falar.",
        "Bom dia, é o João.",
        "Alô, fala o Ricardo.",
        "Sim, daqui fala a Teresa.",
    ),
}

#: A company's, up to four seconds.
COMPANIES: Texts = {
    "en": (
        "Good morning, Miller and Sons, how can I help you?",
        "Acme Plumbing, Susan speaking.",
        "City dental practice, Anna speaking, how may I help?",
        "Northern Insurance, good afternoon, this is Mark.",
        "Harbour Hotel reception, good evening, Tom speaking.",
        "Green Taxis, where would you like to go?",
    ),
    "de": (
        "Firma Schneider, guten Tag, was kann ich für Sie tun?",
        "Autohaus Nord, mein Name ist Anna Weber.",
        "Praxis Doktor Becker, guten Morgen.",
        "Bäckerei Sommer, Sie sprechen mit Frau Lang.",
        "Hotel Seeblick, guten Abend, Sie sprechen mit Jana.",
        "Taxi Krause, wohin darf es gehen?",
    ),
    "fr": (
        "Garage Martin, bonjour, que puis-je pour vous?",
        "Société Lumière, Claire à votre écoute.",
        "Cabinet du docteur Petit, bonjour.",
        "Boulangerie Moreau, bonjour, je vous écoute.",
        "Hôtel du Lac, bonsoir, Julie à l'appareil.",
        "Taxis Bleus, bonjour, quelle adresse?",
    ),
    "es": (
        "Talleres García, buenos días, ¿en qué puedo ayudarle?",
        "Clínica del Norte, le atiende Carmen.",
        "Seguros Unidos, buenas tardes.",
        "Restaurante El Sol, dígame, ¿en qué le ayudo?",
        "Hotel Miramar, buenas noches, le habla Pablo.",
        "Farmacia Central, ¿qué desea?",
    ),
    "it": (
        "Officina Bianchi, buongiorno, come posso aiutarla?",
        "Studio medico Conti, sono Laura.",
        "Albergo Stella, buonasera, mi dica.",
        "Trasporti Veloci, buongiorno, sono Marco.",
        "Farmacia Centrale, buongiorno, desidera?",
        "Ristorante La Pergola, buonasera, sono Paolo.",
    ),
    "pt": (
        "Oficina Central, bom dia, em que posso ajudar?",
        "Clínica São João, fala a Paula.",
        "Padaria do Sol, boa tarde, diga por favor.",
        "Transportes Lima, bom dia, fala o Pedro.",
        "Hotel Atlântico, boa noite, fala a Rita.",
        "Farmácia Central, bom dia, em que posso ajudar?",
    ),
}

#: A machine's whole greeting.
GREETINGS: Texts = {
    "en": (
        "Hello, you have reached the voicemail of John Miller. I am not able to take your call. "
        "Please leave your name and number after the tone.",
        "Hi, this is Susan. I can't come to the phone right now, so leave a message and I will "
        "call you back.",
        "The person you are calling is not available. Please leave a message after the beep.",
        "Your call has been forwarded to an automatic voice message system. At the tone, please "
        "record your message.",
        "Thank you for calling Northern Insurance. Our offices are closed. Please call again "
        "between eight and five.",
        "Sorry I missed your call. I am either in a meeting or away from my desk. Leave your "
        "details and I will get back to you.",
        "Welcome to the mailbox of Karen Jones. To leave a message, wait for the tone. When you "
        "are done, hang up.",
    ),
    "de": (
        "Guten Tag, Sie sind verbunden mit dem Anschluss von Familie Weber. Wir sind zur Zeit "
        "nicht zu Hause. Bitte hinterlassen Sie eine Nachricht nach dem Signalton.",
        "Hallo, hier ist die Mailbox von Sabine. Sprecht mir etwas drauf, ich rufe zurück.",
        "Der gewünschte Gesprächspartner ist zur Zeit nicht erreichbar. Bitte sprechen Sie nach "
        "dem Ton.",
        "Willkommen bei der Mailbox. Der Teilnehmer kann Ihren Anruf gerade nicht annehmen.",
        "Sie rufen außerhalb unserer Geschäftszeiten an. Wir sind von acht bis siebzehn Uhr da.",
        "Schade, dass ich gerade nicht rangehen kann. Hinterlassen Sie mir bitte Namen und "
        "Nummer. Ich melde mich dann.",
        "Dies ist die Sprachbox von Klaus Richter. Ihre Nachricht wird nach dem Ton aufgezeichnet.",
    ),
    "fr": (
        "Bonjour, vous êtes bien chez la famille Dupont. Nous sommes absents pour le moment. "
        "Merci de laisser un message après le bip sonore.",
        "Salut, c'est Marie. Je ne suis pas disponible, laissez-moi un message et je vous "
        "rappelle.",
        "Votre correspondant n'est pas disponible. Veuillez laisser un message après le signal.",
        "Vous êtes sur la messagerie vocale. Parlez après le signal sonore, puis raccrochez.",
        "Nos bureaux sont actuellement fermés. Merci de rappeler entre neuf heures et dix-huit "
        "heures.",
        "Désolée d'avoir manqué votre appel. Indiquez votre nom et votre numéro. Je vous "
        "rappellerai dès que possible.",
        "Bienvenue sur le répondeur de Paul Girard. Enregistrez votre message après le bip.",
    ),
    "es": (
        "Hola, ha llamado a la familia García. En este momento no estamos en casa. Por favor deje "
        "su mensaje después de la señal.",
        "Hola, soy Carmen. Ahora no puedo atenderte, déjame un mensaje y te llamo.",
        "El número que usted ha marcado no está disponible. Deje su mensaje después del tono.",
        "Buzón de voz. El usuario no puede atender su llamada en este momento.",
        "Nuestras oficinas están cerradas. Por favor llame de nuevo entre las nueve y las seis.",
        "Siento no poder contestar. Deja tu nombre y tu número. Te llamaré en cuanto pueda.",
        "Este es el contestador de Lucía Martínez. Grabe su mensaje cuando oiga la señal.",
    ),
    "it": (
        "Buongiorno, avete chiamato la famiglia Rossi. Al momento non siamo in casa. Lasciate un "
        "messaggio dopo il segnale acustico.",
        "Ciao, sono Giulia. Adesso non posso rispondere, lasciami un messaggio e ti richiamo.",
        "L'utente da lei chiamato non è al momento raggiungibile. Lasci un messaggio dopo il bip.",
        "Segreteria telefonica. La preghiamo di registrare il suo messaggio dopo il tono.",
        "I nostri uffici sono chiusi. La preghiamo di richiamare dalle nove alle diciotto.",
        "Mi dispiace di non poter rispondere. Lasciate nome e numero. Richiamerò appena possibile.",
        "Risponde la segreteria di Elena Ferrari. Registrate il messaggio dopo il segnale.",
    ),
    "pt": (
        "Olá, ligou para a família Silva. Neste momento não podemos atender. Por favor deixe a sua "
        "mensagem após o sinal.",
        "Oi, aqui é a Maria. Não posso atender agora, deixe um recado que eu ligo de volta.",
        "O número que você ligou não está disponível. Deixe a sua mensagem após o sinal.",
        "Caixa postal. A pessoa chamada não pode atender a sua ligação neste momento.",
        "Os nossos escritórios estão fechados. Por favor ligue novamente entre as nove e as seis.",
        "Lamento não poder atender. Deixe o seu nome e número. Eu ligo logo que puder.",
        "Este é o atendedor de Ricardo Lima. Grave a sua mensagem depois do sinal.",
    ),
}

#: A machine's that is shorter than two seconds.
SHORT_GREETINGS: Texts = {
    "en": (
        *("Leave a message.", "Hi, leave a message.", "You know what to do.", "Please speak now."),
        *("Talk after the tone.", "Message, please."),
    ),
    "de": (
        *("Bitte sprechen Sie.", "Nachricht bitte.", "Mailbox von Anna.", "Sprich nach dem Ton."),
        *("Nach dem Ton bitte.", "Hinterlass eine Nachricht."),
    ),
    "fr": (
        *("Laissez un message.", "Parlez après le bip.", "Message s'il vous plaît.", "À vous."),
        *("Un message après le bip.", "Dites-moi tout."),
    ),
    "es": (
        *("Deja un mensaje.", "Deje su mensaje.", "Habla después del tono.", "Buzón de voz."),
        *("Mensaje, por favor.", "Deja tu recado."),
    ),
    "it": (
        *("Lasciate un messaggio.", "Parla dopo il bip.", "Segreteria.", "Lascia un messaggio."),
        *("Dopo il segnale, grazie.", "Lascia detto."),
    ),
    "pt": (
        *("Deixe um recado.", "Deixe mensagem.", "Fale após o sinal.", "Caixa postal."),
        *("Mensagem depois do bip.", "Deixe o seu recado."),
    ),
}

#: A menu, and what the network says of a number.
MENUS: Texts = {
    "en": (
        "Welcome to Acme. For sales, press one. For support, press two. For all other questions, "
        "please stay on the line.",
        "Thank you for calling. This call may be recorded. Press one for English.",
        "Hello and thank you for calling Green Taxis. To book a ride, press one. To change a "
        "booking, press two.",
    ),
    "de": (
        "Willkommen bei Acme. Für den Verkauf drücken Sie die eins. Für den Kundendienst drücken "
        "Sie die zwei.",
        "Vielen Dank für Ihren Anruf. Bitte wählen Sie aus den folgenden Möglichkeiten.",
        "Herzlich willkommen beim Hotel Seeblick. Für Reservierungen drücken Sie die eins. Sonst "
        "bleiben Sie bitte in der Leitung.",
    ),
    "fr": (
        "Bienvenue chez Acme. Pour le service commercial, tapez un. Pour l'assistance, tapez deux.",
        "Merci de votre appel. Pour être mis en relation, veuillez patienter.",
        "Bonjour et bienvenue à l'Hôtel du Lac. Pour une réservation, tapez un. Pour la "
        "réception, tapez deux.",
    ),
    "es": (
        "Bienvenido a Acme. Para ventas, marque uno. Para asistencia, marque dos.",
        "Gracias por su llamada. Esta llamada puede ser grabada. Marque uno para continuar.",
        "Le damos la bienvenida al Hotel Miramar. Para reservas, pulse uno. Para otras "
        "consultas, espere.",
    ),
    "it": (
        "Benvenuti in Acme. Per le vendite, premere uno. Per l'assistenza, premere due.",
        "Grazie per averci chiamato. Vi preghiamo di attendere in linea.",
        "Buongiorno, questa è la Farmacia Centrale. Per gli orari, premere uno. Per parlare con "
        "noi, attendere.",
    ),
    "pt": (
        "Bem-vindo à Acme. Para vendas, digite um. Para suporte, digite dois.",
        "Obrigado pela sua ligação. Esta chamada pode ser gravada. Aguarde na linha.",
        "Bem-vindo ao Hotel Atlântico. Para reservas, marque um. Para outros assuntos, aguarde.",
    ),
}
ANNOUNCEMENTS: Texts = {
    "en": ("The number you have dialled is not in service. Please check the number.",),
    "de": ("Kein Anschluss unter dieser Nummer. Bitte prüfen Sie die Rufnummer.",),
    "fr": ("Le numéro que vous avez demandé n'est pas attribué.",),
    "es": ("El número que ha marcado no existe. Por favor compruebe el número.",),
    "it": ("Il numero da lei selezionato è inesistente. La preghiamo di verificare.",),
    "pt": ("O número que marcou não está atribuído. Por favor verifique o número.",),
}


def some(texts: tuple[str, ...], *, kept: bool) -> tuple[str, ...]:
    """The texts of the kept part: the last third, one at least; or the others."""
    if len(texts) == 1:
        return texts
    cut = len(texts) - max(len(texts) // 3, 1)
    return texts[cut:] if kept else texts[:cut]
